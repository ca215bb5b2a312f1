#pragma once
/*
 * Randomness: a fast generator for balancing and jitter, and secure bytes for keys, serials and identifiers.
 * Ownership: struct sl_prng is a value.       Threads: a generator has one owner; sl_random_bytes is for any thread.
 */
#include <stddef.h>
#include <stdint.h>

/* xoshiro256** 1.0. Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators" (2018). */
struct sl_prng {
	uint64_t s[4]; /* never all zero */
};

void sl_prng_seed(struct sl_prng *r, uint64_t seed); /* the same seed gives the same sequence */
void sl_prng_seed_secure(struct sl_prng *r);         /* from getrandom */
/* This thread's own generator, seeded from getrandom at first use. Never for secrets. */
struct sl_prng *sl_prng_thread(void);

static inline uint64_t sl_prng_next(struct sl_prng *r)
{
	uint64_t x = r->s[1] * 5, out = ((x << 7) | (x >> 57)) * 9, t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = (r->s[3] << 45) | (r->s[3] >> 19);
	return out;
}

/* Uniform in [0, n); 0 when n is 0. Source: Lemire, "Fast Random Integer Generation in an Interval" (2019). */
uint64_t sl_prng_below(struct sl_prng *r, uint64_t n);
double sl_prng_unit(struct sl_prng *r); /* uniform in [0, 1) */

/* Cryptographically secure; aborts where the kernel cannot give any, as nothing safe can follow. */
void sl_random_bytes(void *p, size_t n_bytes);
/* A random UUID (RFC 9562 version 4) as 36 characters and a NUL. */
char *sl_random_uuid(char dst[37]);

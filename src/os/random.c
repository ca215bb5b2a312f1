#include "os/random.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void sl_prng_seed(struct sl_prng *r, uint64_t seed)
{
	for (size_t i = 0; i < 4; i++)
		r->s[i] = splitmix(&seed); /* a bijection of distinct inputs: never four zeros */
}

void sl_prng_seed_secure(struct sl_prng *r)
{
	uint64_t seed;

	sl_random_bytes(&seed, sizeof(seed));
	sl_prng_seed(r, seed);
}

struct sl_prng *sl_prng_thread(void)
{
	static __thread struct sl_prng own;
	static __thread bool seeded;

	if (!seeded) {
		sl_prng_seed_secure(&own);
		seeded = true;
	}
	return &own;
}

uint64_t sl_prng_below(struct sl_prng *r, uint64_t n)
{
	__extension__ typedef unsigned __int128 u128;
	u128 m;

	if (n == 0)
		return 0;
	m = (u128)sl_prng_next(r) * n;
	if ((uint64_t)m < n) {
		uint64_t floor = -n % n;

		while ((uint64_t)m < floor)
			m = (u128)sl_prng_next(r) * n;
	}
	return (uint64_t)(m >> 64);
}

double sl_prng_unit(struct sl_prng *r)
{
	return (double)(sl_prng_next(r) >> 11) * 0x1.0p-53;
}

void sl_random_bytes(void *p, size_t n_bytes)
{
	char *at = p;

	while (n_bytes) {
		ssize_t n = getrandom(at, n_bytes, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			abort();
		at += n;
		n_bytes -= (size_t)n;
	}
}

char *sl_random_uuid(char dst[37])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t b[16];
	char *at = dst;

	sl_random_bytes(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
	for (size_t i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[b[i] >> 4];
		*at++ = hex[b[i] & 15];
	}
	*at = 0;
	return dst;
}

#include "judge/replay.h"

static const char magic[4] = { 'S', 'L', 'J', '1' };

static void put_varint(struct sl_buf *b, uint64_t v)
{
	while (v >= 0x80) {
		sl_buf_byte(b, (char)(unsigned char)(v | 0x80));
		v >>= 7;
	}
	sl_buf_byte(b, (char)(unsigned char)v);
}

static void put_double(struct sl_buf *b, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	for (int i = 0; i < 64; i += 8)
		sl_buf_byte(b, (char)(unsigned char)(bits >> i));
}

void sl_judge_record_fini(struct sl_judge_record *r)
{
	sl_buf_fini(&r->bytes);
}

void sl_judge_record_begin(struct sl_judge_record *r, const struct sl_judge *j)
{
	struct sl_buf *b = &r->bytes;

	sl_buf_clear(b);
	r->last = 0;
	sl_buf_add(b, magic, sizeof(magic));
	put_double(b, j->config.alpha);
	put_double(b, j->config.alpha_promote);
	put_varint(b, (uint64_t)j->config.initial_delay);
	put_varint(b, j->config.metric_count);
	for (size_t m = 0; m < j->config.metric_count; m++) {
		const struct sl_judge_metric_config *metric = &j->config.metrics[m];

		put_varint(b, strlen(metric->name));
		sl_buf_c(b, metric->name);
		put_double(b, metric->weight);
		put_double(b, metric->tolerance);
		put_double(b, metric->not_worse_than);
	}
}

static bool any_count(const struct sl_counts *counts, size_t metric_count)
{
	for (size_t m = 0; m < metric_count; m++)
		if (counts[m].n_c | counts[m].n_b | counts[m].e_c | counts[m].e_b)
			return true;
	return false;
}

void sl_judge_record_add(
        struct sl_judge_record *r, const struct sl_judge *j, sl_nsec now, const struct sl_counts *counts)
{
	sl_nsec at = now - j->started_at;

	if (!any_count(counts, j->config.metric_count))
		return;
	if (at < r->last)
		at = r->last; /* the caller's clock went back; the order of ticks is what counts */
	put_varint(&r->bytes, (uint64_t)(at - r->last));
	r->last = at;
	for (size_t m = 0; m < j->config.metric_count; m++) {
		put_varint(&r->bytes, counts[m].n_c);
		put_varint(&r->bytes, counts[m].n_b);
		put_varint(&r->bytes, counts[m].e_c);
		put_varint(&r->bytes, counts[m].e_b);
	}
}

static sl_err get_varint(sl_str *s, uint64_t *ret_v)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s->len && i < 10; i++) {
		uint64_t byte = (unsigned char)s->p[i];

		if (i == 9 && byte > 1)
			return SL_ERR_MALFORMED;
		v |= (byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		*ret_v = v;
		*s = sl_str_skip(*s, i + 1);
		return SL_OK;
	}
	return SL_ERR_MALFORMED;
}

static sl_err get_double(sl_str *s, double *ret_d)
{
	uint64_t bits = 0;

	if (s->len < sizeof(bits))
		return SL_ERR_MALFORMED;
	for (size_t i = 0; i < sizeof(bits); i++)
		bits |= (uint64_t)(unsigned char)s->p[i] << (8 * i);
	memcpy(ret_d, &bits, sizeof(bits));
	*s = sl_str_skip(*s, sizeof(bits));
	return SL_OK;
}

static sl_err get_metric(sl_str *s, struct sl_judge_metric_config *metric)
{
	uint64_t name_len;

	SL_TRY(get_varint(s, &name_len));
	if (name_len >= SL_JUDGE_NAME_SIZE || name_len > s->len)
		return SL_ERR_MALFORMED;
	sl_str_copy(metric->name, sizeof(metric->name), sl_str_first(*s, (size_t)name_len));
	*s = sl_str_skip(*s, (size_t)name_len);
	SL_TRY(get_double(s, &metric->weight));
	SL_TRY(get_double(s, &metric->tolerance));
	return get_double(s, &metric->not_worse_than);
}

static sl_err get_config(sl_str *s, struct sl_judge_config *config)
{
	uint64_t delay, count;

	if (!sl_str_starts(*s, sl_str_n(magic, sizeof(magic))))
		return SL_ERR_MALFORMED;
	*s = sl_str_skip(*s, sizeof(magic));
	SL_TRY(get_double(s, &config->alpha));
	SL_TRY(get_double(s, &config->alpha_promote));
	SL_TRY(get_varint(s, &delay));
	SL_TRY(get_varint(s, &count));
	if (delay > INT64_MAX || !count || count > SL_JUDGE_METRICS_MOST)
		return SL_ERR_MALFORMED;
	config->initial_delay = (sl_nsec)delay;
	config->metric_count = (size_t)count;
	for (size_t m = 0; m < config->metric_count; m++)
		SL_TRY(get_metric(s, &config->metrics[m]));
	return SL_OK;
}

static sl_err get_tick(sl_str *s, size_t metric_count, sl_nsec *at, struct sl_counts *counts)
{
	uint64_t delta;

	SL_TRY(get_varint(s, &delta));
	if (delta > (uint64_t)(INT64_MAX - *at))
		return SL_ERR_MALFORMED;
	*at += (sl_nsec)delta;
	for (size_t m = 0; m < metric_count; m++) {
		SL_TRY(get_varint(s, &counts[m].n_c));
		SL_TRY(get_varint(s, &counts[m].n_b));
		SL_TRY(get_varint(s, &counts[m].e_c));
		SL_TRY(get_varint(s, &counts[m].e_b));
	}
	return SL_OK;
}

sl_err sl_judge_replay(struct sl_judge *ret_judge, sl_str bytes)
{
	struct sl_judge_config config = { 0 };
	struct sl_counts counts[SL_JUDGE_METRICS_MOST];
	struct sl_judge judge;
	sl_nsec at = 0;

	SL_TRY(get_config(&bytes, &config));
	sl_judge_init(&judge, &config, 0);
	while (bytes.len) {
		SL_TRY(get_tick(&bytes, judge.config.metric_count, &at, counts));
		sl_judge_add(&judge, at, counts);
	}
	*ret_judge = judge;
	return SL_OK;
}

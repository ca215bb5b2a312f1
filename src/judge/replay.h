#pragma once
/*
 * The record of a judge: its configuration and every tick's counts, from which the verdict replays to the same bits.
 * Format (all integers LEB128 varints; doubles as their 8 bytes, least significant first):
 *   "SLJ1" alpha alpha_promote initial_delay metric_count { name_len name weight tolerance not_worse_than }*
 *   { delta_time { n_c n_b e_c e_b }* }*            one record per tick that had any count
 * Ownership: the bytes are the buffer's.       Threads: one owner.
 */
#include "base/buf.h"
#include "judge/verdict.h"

struct sl_judge_record {
	struct sl_buf bytes;
	sl_nsec last; /* time of the last tick written, since the start */
};

/* All-zero is a valid empty record. */
void sl_judge_record_fini(struct sl_judge_record *r);
void sl_judge_record_begin(struct sl_judge_record *r, const struct sl_judge *j);
/* To be called with exactly what sl_judge_add gets. All-zero ticks are not written. */
void sl_judge_record_add(
        struct sl_judge_record *r, const struct sl_judge *j, sl_nsec now, const struct sl_counts *counts);

/* Runs the record through a fresh judge (started at time 0). Errors: SL_ERR_MALFORMED. */
sl_err sl_judge_replay(struct sl_judge *ret_judge, sl_str bytes);

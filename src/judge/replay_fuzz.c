/* Any bytes: a record is refused or replays; what replays gives finite evidence, the same each time, and interval ends in order. */
#include "judge/replay.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sl_str record = sl_str_n((const char *)bytes, size);
	struct sl_verdict v, again;
	struct sl_judge j, k;

	if (sl_judge_replay(&j, record) != SL_OK || sl_judge_replay(&k, record) != SL_OK)
		return 0;
	sl_judge_verdict(&j, &v);
	sl_judge_verdict(&k, &again);
	if (isnan(v.log_e) || isnan(v.log_e_not_worse) || !(v.odds.low <= v.odds.high))
		abort();
	/* Bit for bit. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	if (memcmp(&v.log_e, &again.log_e, sizeof(v.log_e)) != 0 || strcmp(v.text, again.text) != 0)
		abort();
	return 0;
}

#include "cli/rollout_view.h"

#include "base/buf.h"
#include "proto/json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_COLUMNS = 50 };

void sl_rollout_view_init(struct sl_rollout_view *v)
{
	*v = (struct sl_rollout_view) { .live = isatty(STDOUT_FILENO) };
}

bool sl_rollout_is_settled(const json_t *rollout)
{
	const char *phase = sl_json_string(rollout, "status.phase", "");
	/* Argo writes observedGeneration as a string, Kubernetes' own kinds as a number */
	const char *text = sl_json_string(rollout, "status.observedGeneration", NULL);
	int64_t observed = sl_json_int(rollout, "status.observedGeneration", 0);

	if (text)
		SL_IGNORE(sl_str_to_i64(sl_str_c(text), &observed)); /* not a number: never settled */
	if (observed != sl_json_int(rollout, "metadata.generation", 0))
		return false;
	return strcmp(phase, "Healthy") == 0 ||
	       (strcmp(phase, "Degraded") == 0 && sl_json_bool(rollout, "status.abort", false));
}

static void head_line(struct sl_buf *out, const json_t *rollout)
{
	const char *message = sl_json_string(rollout, "status.message", "");

	sl_buf_printf(out, "%s  %s  step %lld/%zu  canary %lld %%%s%s",
	        sl_json_string(rollout, "metadata.name", ""),
	        sl_json_string(rollout, "status.phase", "Progressing"),
	        (long long)sl_json_int(rollout, "status.currentStepIndex", 0),
	        json_array_size(sl_json_array(rollout, "spec.strategy.canary.steps")),
	        (long long)sl_json_int(rollout, "status.canary.weights.canary.weight", 0),
	        *message ? "  " : "", message);
}

static void block(struct sl_buf *out, const json_t *rollout)
{
	int64_t canary = sl_json_int(rollout, "status.canary.weights.canary.weight", 0);
	int filled = (int)(canary * BAR_COLUMNS / 100);
	const char *evidence = sl_json_string(rollout, "status.sluice.evidence", "");

	head_line(out, rollout);
	sl_buf_printf(out, "\n  stable %s ", sl_json_string(rollout, "status.stableRS", "-"));
	for (int i = 0; i < BAR_COLUMNS; i++)
		sl_buf_c(out, i < BAR_COLUMNS - filled ? "█" : "░");
	sl_buf_printf(out, " %s canary\n",
	        sl_json_string(rollout, "status.canary.weights.canary.podTemplateHash", "-"));
	sl_buf_printf(out, "  pods %lld, updated %lld, ready %lld\n",
	        (long long)sl_json_int(rollout, "status.replicas", 0),
	        (long long)sl_json_int(rollout, "status.updatedReplicas", 0),
	        (long long)sl_json_int(rollout, "status.readyReplicas", 0));
	if (*evidence)
		sl_buf_printf(out, "  evidence: %s\n", evidence);
}

static int lines_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

void sl_rollout_view_draw(struct sl_rollout_view *v, const json_t *rollout)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	if (!v->live) {
		head_line(&out, rollout);
		if (strncmp(sl_buf_cstr(&out), v->last, sizeof(v->last) - 1) == 0)
			return;
		sl_str_copy(v->last, sizeof(v->last), sl_buf_str(&out));
		puts(sl_buf_cstr(&out));
		fflush(stdout);
		return;
	}
	block(&out, rollout);
	if (v->height)
		printf("\x1b[%dA\x1b[J", v->height);
	fputs(sl_buf_cstr(&out), stdout);
	fflush(stdout);
	v->height = lines_of(sl_buf_cstr(&out));
}

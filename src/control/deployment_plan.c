#include "control/deployment_plan.h"

static int32_t least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static int32_t most(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

static int32_t total(
        const struct sl_deployment_set *fresh, const struct sl_deployment_set *sets, size_t count)
{
	int32_t n = fresh ? fresh->replicas : 0;

	for (size_t i = 0; i < count; i++)
		n += sets[i].replicas;
	return n;
}

/* Takes up to `*budget` Pods, from each set at most what `spare` says. */
static void take(struct sl_deployment_set *set, int32_t spare, int32_t *budget)
{
	int32_t n = most(0, least(least(spare, set->replicas), *budget));

	set->replicas -= n;
	*budget -= n;
}

static void shrink_old(const struct sl_deployment_spec *spec, const struct sl_deployment_set *fresh,
        struct sl_deployment_set *sets, size_t count)
{
	int32_t min_available = spec->replicas - spec->max_unavailable;
	int32_t fresh_missing = most(0, fresh->replicas - fresh->available), available = fresh->available;
	int32_t budget = total(fresh, sets, count) - min_available - fresh_missing;

	/* Pods that do not work go first: ending them costs no capacity. */
	for (size_t i = 0; i < count && budget > 0; i++)
		take(&sets[i], sets[i].replicas - sets[i].available, &budget);
	for (size_t i = 0; i < count; i++)
		available += least(sets[i].available, sets[i].replicas);
	/* Then those that do, as long as enough are left. */
	budget = available - min_available;
	for (size_t i = 0; i < count && budget > 0; i++)
		take(&sets[i], sets[i].replicas, &budget);
}

static void roll(const struct sl_deployment_spec *spec, struct sl_deployment_set *fresh,
        struct sl_deployment_set *sets, size_t count)
{
	int32_t room = spec->replicas + spec->max_surge - total(fresh, sets, count);
	int32_t before = fresh->replicas;

	if (fresh->replicas > spec->replicas)
		fresh->replicas = spec->replicas;
	else
		fresh->replicas += most(0, least(room, spec->replicas - fresh->replicas));
	if (fresh->replicas == before)
		shrink_old(spec, fresh, sets, count);
}

static void recreate(const struct sl_deployment_spec *spec, struct sl_deployment_set *fresh,
        struct sl_deployment_set *sets, size_t count)
{
	int32_t left = 0;

	for (size_t i = 0; i < count; i++) {
		sets[i].replicas = 0;
		left += sets[i].existing;
	}
	if (fresh->replicas > spec->replicas || left == 0)
		fresh->replicas = spec->replicas;
}

/* While paused nothing moves between sets; a change of replicas goes to the newest one in use. */
static void hold(const struct sl_deployment_spec *spec, struct sl_deployment_set *fresh,
        struct sl_deployment_set *sets, size_t count)
{
	struct sl_deployment_set *target = fresh;
	int32_t diff = spec->replicas - total(fresh, sets, count);

	for (size_t i = 0; i < count && (!target || target->replicas == 0); i++)
		if (sets[count - 1 - i].replicas > 0)
			target = &sets[count - 1 - i];
	if (target && (diff > 0 || total(fresh, sets, count) > spec->replicas + spec->max_surge))
		target->replicas = most(0, target->replicas + diff);
}

void sl_deployment_plan(const struct sl_deployment_spec *spec, struct sl_deployment_set *fresh,
        struct sl_deployment_set *sets, size_t count)
{
	if (spec->paused)
		hold(spec, fresh, sets, count);
	else if (fresh && spec->recreate)
		recreate(spec, fresh, sets, count);
	else if (fresh)
		roll(spec, fresh, sets, count);
}

#pragma once
/*
 * How many Pods each ReplicaSet of a Deployment should have next. Pure; one step at a time: called again whenever something has changed.
 * Semantics: apps/v1 Deployment controller of Kubernetes, except that a change of `replicas` during an update is not spread over the
 * old ReplicaSets in proportion: it goes to the new one.
 * Ownership: values.       Threads: any.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_deployment_spec {
	int32_t replicas;
	int32_t max_surge, max_unavailable; /* resolved to Pods; not both 0 */
	bool recreate, paused;
};

struct sl_deployment_set {
	int32_t replicas;  /* its spec.replicas; out: what it should become */
	int32_t existing;  /* Pods there are, also those being ended */
	int32_t available; /* of them, ready long enough */
};

/* `sets` holds the old ones, oldest first; `fresh`, the one of the current template, may be NULL (paused, or not made yet). */
void sl_deployment_plan(const struct sl_deployment_spec *spec, struct sl_deployment_set *fresh,
        struct sl_deployment_set *sets, size_t count);

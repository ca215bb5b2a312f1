#pragma once
/* Rules for pod specs and the workloads made of them; the validator's path stands at what is checked. */
#include "model/validate_priv.h"

/* A PodSpec: names unique, probes with one handler, env from one source. */
void sl_pod_spec_rules(struct sl_validator *v, const json_t *spec);
/* What of a running pod may not change. */
void sl_pod_update_rules(struct sl_validator *v, const json_t *old, const json_t *obj);
/* {selector, template} of a Deployment, ReplicaSet or Rollout: the selector is not empty and picks the template's labels. */
void sl_workload_rules(struct sl_validator *v, const json_t *spec);
/* {maxSurge, maxUnavailable}: not both zero. */
void sl_surge_rules(struct sl_validator *v, const json_t *obj);

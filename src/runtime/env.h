#pragma once
/*
 * A container's environment and its $(VAR) references, as Kubernetes has them.
 * Ownership: an sl_env is an arena of its own; what it returns lives as long.       Threads: one owner.
 */
#include "base/arena.h"
#include "base/diag.h"
#include "base/map.h"
#include "runtime/runtime.h"

struct sl_env {
	struct sl_arena arena;
	struct sl_map vars;
	struct sl_env_var *first, **last; /* in order of first definition */
	size_t count;
};

void sl_env_init(struct sl_env *e);
void sl_env_fini(struct sl_env *e);
/* Defines or replaces. A name that is empty or has '=' or NUL in it is skipped, as no process could receive it. */
void sl_env_set(struct sl_env *e, sl_str name, sl_str value);
/* NULL when not defined. */
const char *sl_env_get(const struct sl_env *e, sl_str name);
/* NULL-terminated "NAME=value", in the arena. */
const char *const *sl_env_list(struct sl_env *e);

/*
 * $(NAME) becomes the variable's value and stays as it is where there is none; $$ becomes $; any other $ stays.
 * In the arena, NUL-terminated. Source: Kubernetes, "Define Dependent Environment Variables".
 */
sl_str sl_env_expand(struct sl_env *e, sl_str text);

/*
 * Everything a container of a bound Pod gets: PATH and HOME of ours; the Services of its namespace; POD_NAME, POD_NAMESPACE, POD_IP,
 * SLUICE_IMAGE_TAG, PORT and PORT_<NAME>; its envFrom; its env, in which references see all before them.
 * Errors: SL_ERR_INVALID (a ConfigMap, Secret or key is missing, or a source not known; diag says which).
 */
sl_err sl_env_build(struct sl_env *e, const json_t *pod, const json_t *container,
        const struct sl_runtime_host *host, struct sl_diag *diag);
/* command and args with references replaced; NULL-terminated, in the arena. Errors: SL_ERR_INVALID (no command). */
sl_err sl_env_command(
        struct sl_env *e, const json_t *container, const char *const **ret_argv, struct sl_diag *diag);

/* "v1" of "registry:5000/team/app:v1@sha256:..."; "latest" where there is none. A view. */
sl_str sl_image_tag(sl_str image);

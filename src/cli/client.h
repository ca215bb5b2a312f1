#pragma once
/*
 * A client of the API server as a kubeconfig names it: blocking calls, and a watch.
 * Ownership: sl_client_fini frees; results are new references.       Threads: one.
 */
#include "base/arena.h"
#include "base/diag.h"
#include "base/units.h"
#include "model/kind.h"

struct sl_client {
	struct sl_arena arena;
	const char *server;          /* "https://127.0.0.1:6443"; NULL until opened */
	sl_str ca, certificate, key; /* PEM; empty where the kubeconfig has none */
	const char *token;           /* bearer; NULL: none */
	const char *namespace;       /* of the context; NULL: none */
	bool insecure;
};

void sl_client_fini(struct sl_client *c);
/*
 * Reads the kubeconfig's current context: `path`, or $KUBECONFIG, or ~/.kube/config. Inline data and files, client certificates and
 * tokens are understood; exec and auth providers are refused.
 * Errors: SL_ERR_NOT_FOUND, SL_ERR_MALFORMED, SL_ERR_UNSUPPORTED; diag says what.
 */
sl_err sl_client_open(struct sl_client *c, const char *path, struct sl_diag *diag);

struct sl_call {
	const char *method;       /* "GET" */
	const char *path;         /* with the query */
	const char *content_type; /* of the body; NULL: application/json */
	const char *accept;       /* NULL: application/json */
	const json_t *body;       /* NULL: none */
};
/*
 * *ret_answer (may be NULL) is the JSON answer. A Status of failure becomes an error with its causes in diag.
 * Errors: what the server's status says (SL_ERR_NOT_FOUND, _CONFLICT, _INVALID, ...), or why there was no answer.
 */
sl_err sl_client_call(
        struct sl_client *c, const struct sl_call *call, json_t **ret_answer, struct sl_diag *diag);
/* A plain text answer, such as /metrics. The caller frees *ret_text with sl_free. */
sl_err sl_client_text(struct sl_client *c, const char *path, char **ret_text, struct sl_diag *diag);

/* Called per event; false ends the watch. `object` is borrowed. */
typedef bool (*sl_client_event_fn)(void *arg, const char *type, json_t *object);
/*
 * Watches until the callback ends it, or the server does (SL_ERR_EOF: list again and go on), or SIGINT.
 * Errors: SL_ERR_EXPIRED, and as sl_client_call.
 */
sl_err sl_client_watch(struct sl_client *c, const char *path, const char *accept, sl_client_event_fn fn,
        void *arg, struct sl_diag *diag);

/* "/apis/apps/v1/namespaces/NS/deployments/NAME" in the arena of c; ns NULL: all namespaces; name NULL: the list. */
const char *sl_client_path(struct sl_client *c, const struct sl_kind *kind, const char *ns, const char *name);

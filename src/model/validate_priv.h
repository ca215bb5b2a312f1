#pragma once
/* What the generic validator and the kinds' own rules share. */
#include "model/path_priv.h"
#include "model/validate.h"

struct sl_validator {
	const struct sl_kind *kind;
	enum sl_unknown unknown;
	struct sl_diag *warnings, *diag;
	struct sl_path path;
	bool has_unknown, is_invalid;
};

/* Adds a problem at the current path. */
void sl_validator_bad(struct sl_validator *v, const char *reason, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* The same at `path.field`. */
void sl_validator_bad_at(struct sl_validator *v, const char *field, const char *reason, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
void sl_validator_warn(struct sl_validator *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The rules across fields of the validator's kind; called only on objects that fit the schema. */
void sl_kind_rules(struct sl_validator *v, const json_t *obj);
/* The same for updates. */
void sl_kind_update_rules(struct sl_validator *v, const json_t *old, const json_t *obj);

const char *sl_name_port(sl_str s);      /* a port's name: up to 15 characters, at least one letter */
const char *sl_name_host_wild(sl_str s); /* a host, "*" or "*.example.com" */

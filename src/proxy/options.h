#pragma once
/*
 * The proxy's settings (options.def). Flags win over environment, environment over defaults.
 * Ownership: texts are views into argv, the environment or static.       Threads: const once parsed.
 */
#include "base/diag.h"
#include "base/units.h"

#define SL_OPTION_TYPE_TEXT const char *
#define SL_OPTION_TYPE_COUNT uint32_t
#define SL_OPTION_TYPE_BYTES uint32_t
#define SL_OPTION_TYPE_DURATION sl_nsec
#define SL_OPTION_TYPE_SWITCH bool

struct sl_proxy_options {
#define SL_OPTION(field, flag, kind, def, arg, help) SL_OPTION_TYPE_##kind field;
#include "proxy/options.def"
	bool help, version; /* asked for; nothing else was looked at */
};

/* Defaults and the environment. Errors: SL_ERR_INVALID, with the variable and what would be right in diag. */
sl_err sl_proxy_options_init(struct sl_proxy_options *o, struct sl_diag *diag);
/* "--flag value" and "--flag=value". Errors: SL_ERR_INVALID. */
sl_err sl_proxy_options_parse(struct sl_proxy_options *o, int argc, char **argv, struct sl_diag *diag);
struct sl_buf;
void sl_proxy_options_help(struct sl_buf *out);

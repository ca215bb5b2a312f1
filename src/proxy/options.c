#include "proxy/options.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum kind { TEXT, COUNT, BYTES, DURATION, SWITCH };

static const struct row {
	const char *flag, *def, *arg, *help;
	enum kind kind;
	size_t at; /* offset of the field */
} rows[] = {
#define SL_OPTION(field_, flag_, kind_, def_, arg_, help_) \
	{ .flag = flag_,                                   \
		.def = def_,                               \
		.arg = arg_,                               \
		.help = help_,                             \
		.kind = kind_,                             \
		.at = offsetof(struct sl_proxy_options, field_) },
#include "proxy/options.def"
};

static const char *wanted(enum kind kind)
{
	switch (kind) {
	case TEXT:
		return "text";
	case COUNT:
		return "a whole number";
	case BYTES:
		return "a number of bytes, such as 16384 or 16Ki";
	case DURATION:
		return "a time, such as 500ms or 1m30s";
	case SWITCH:
		return "on or off";
	}
	return "";
}

static sl_err parse_number(const struct row *row, const char *value, uint32_t *ret)
{
	int64_t milli;

	SL_TRY(sl_quantity_parse_milli(sl_str_c(value), &milli));
	if (milli < 0 || milli % 1000 || milli / 1000 > UINT32_MAX || (row->kind == COUNT && value[0] == '-'))
		return SL_ERR_RANGE;
	*ret = (uint32_t)(milli / 1000);
	return SL_OK;
}

static sl_err set_value(struct sl_proxy_options *o, const struct row *row, const char *value)
{
	void *at = (char *)o + row->at;

	switch (row->kind) {
	case TEXT:
		*(const char **)at = value;
		return SL_OK;
	case COUNT:
	case BYTES:
		return parse_number(row, value, at);
	case DURATION:
		return sl_duration_parse(sl_str_c(value), at);
	case SWITCH:
		if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
			return SL_ERR_MALFORMED;
		*(bool *)at = value[1] == 'n';
		return SL_OK;
	}
	return SL_ERR_INTERNAL;
}

static sl_err set(struct sl_proxy_options *o, const struct row *row, const char *where, const char *value,
        struct sl_diag *diag)
{
	if (set_value(o, row, value) == SL_OK)
		return SL_OK;
	return sl_diag_fail(diag, SL_ERR_INVALID, where, "FieldValueInvalid",
	        "\"%s\" will not do: it takes %s", value, wanted(row->kind));
}

sl_err sl_proxy_options_init(struct sl_proxy_options *o, struct sl_diag *diag)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < SL_ARRAY_COUNT(rows); i++) {
		char name[64];
		const char *value;
		size_t n = (size_t)snprintf(name, sizeof(name), "SLUICE_PROXY_%s", rows[i].flag);

		for (size_t j = 0; j < n; j++)
			name[j] = name[j] == '-'                       ? '_'
			          : (name[j] >= 'a' && name[j] <= 'z') ? (char)(name[j] - 32)
			                                               : name[j];
		SL_TRY(set(o, &rows[i], rows[i].flag, rows[i].def, diag));
		value = getenv(name);
		if (value)
			SL_TRY(set(o, &rows[i], name, value, diag));
	}
	return SL_OK;
}

static const struct row *row_find(const char *flag, size_t len)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(rows); i++)
		if (strlen(rows[i].flag) == len && memcmp(rows[i].flag, flag, len) == 0)
			return &rows[i];
	return NULL;
}

static sl_err check(const struct sl_proxy_options *o, struct sl_diag *diag)
{
	if (o->xds[0] && o->static_file[0])
		return sl_diag_fail(
		        diag, SL_ERR_INVALID, "--static", NULL, "excludes --xds: give one of them");
	if (!o->xds[0] && !o->static_file[0])
		return sl_diag_fail(diag, SL_ERR_INVALID, "--xds", NULL,
		        "is required: the control plane's address, or --static FILE");
	if (o->xds[0] && !o->node[0])
		return sl_diag_fail(
		        diag, SL_ERR_INVALID, "--node", NULL, "is required with --xds: this proxy's name");
	if (o->head_bytes < 256 || o->head_bytes > 65535)
		return sl_diag_fail(diag, SL_ERR_INVALID, "--head-bytes", NULL, "takes 256 to 65535");
	if (o->head_fields < 1 || o->head_fields > 128)
		return sl_diag_fail(diag, SL_ERR_INVALID, "--head-fields", NULL, "takes 1 to 128");
	if (o->buffer_bytes < 1024 || o->buffer_bytes > (1u << 20))
		return sl_diag_fail(diag, SL_ERR_INVALID, "--buffer-bytes", NULL, "takes 1024 to 1048576");
	if (o->workers > 256)
		return sl_diag_fail(diag, SL_ERR_INVALID, "--workers", NULL, "takes at most 256");
	return SL_OK;
}

sl_err sl_proxy_options_parse(struct sl_proxy_options *o, int argc, char **argv, struct sl_diag *diag)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *equals = strchr(arg, '='), *value;
		const struct row *row;

		o->help |= strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
		o->version |= strcmp(arg, "--version") == 0;
		if (o->help || o->version)
			return SL_OK;
		row = strncmp(arg, "--", 2)
		              ? NULL
		              : row_find(arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
		if (!row)
			return sl_diag_fail(
			        diag, SL_ERR_INVALID, arg, NULL, "is no option; --help lists them");
		value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
		if (!value)
			return sl_diag_fail(
			        diag, SL_ERR_INVALID, arg, NULL, "needs a value: %s", wanted(row->kind));
		SL_TRY(set(o, row, arg, value, diag));
	}
	return check(o, diag);
}

void sl_proxy_options_help(struct sl_buf *out)
{
	sl_buf_c(out, "usage: sluice-proxy --xds ADDR --node ID [OPTION...]\n"
	              "       sluice-proxy --static FILE [OPTION...]\n\n");
	for (size_t i = 0; i < SL_ARRAY_COUNT(rows); i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", rows[i].flag, rows[i].arg);
		sl_buf_printf(out, "  %-32s %s", left, rows[i].help);
		if (rows[i].def[0])
			sl_buf_printf(out, " [%s]", rows[i].def);
		sl_buf_byte(out, '\n');
	}
	sl_buf_c(out, "  --help                           this text\n"
	              "  --version                        the version\n\n"
	              "Each can be set in the environment: --drain-timeout as SLUICE_PROXY_DRAIN_TIMEOUT.\n"
	              "Signals: SIGTERM drains and ends; SIGHUP reads --static again.\n");
}

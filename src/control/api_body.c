/* Bodies: which form, and the tree they hold. */
#include "control/api_priv.h"
#include "proto/yaml.h"

static const struct {
	const char *type;
	enum sl_body_type body;
} types[] = {
	{ "", SL_BODY_JSON },
	{ "application/json", SL_BODY_JSON },
	{ "text/json", SL_BODY_JSON },
	{ "application/yaml", SL_BODY_YAML },
	{ "application/json-patch+json", SL_BODY_PATCH_JSON },
	{ "application/merge-patch+json", SL_BODY_PATCH_MERGE },
	{ "application/strategic-merge-patch+json", SL_BODY_PATCH_STRATEGIC },
	{ "application/apply-patch+yaml", SL_BODY_PATCH_APPLY },
	{ "application/vnd.kubernetes.protobuf", SL_BODY_PROTOBUF },
};

enum sl_body_type sl_api_body_type(sl_str content_type)
{
	sl_str type;
	sl_str_split(&content_type, ';', &type);
	type = sl_str_trim(type);
	for (size_t i = 0; i < SL_ARRAY_COUNT(types); i++)
		if (sl_str_eq_nocase(type, sl_str_c(types[i].type)))
			return types[i].body;
	return SL_BODY_OTHER;
}

static sl_err parse_yaml(sl_str text, json_t **ret_body, struct sl_diag *diag)
{
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
	sl_err err = sl_yaml_parse(text, NULL, &documents, diag);
	if (err != SL_OK)
		return err == SL_ERR_TOO_BIG ? err : SL_ERR_BAD_REQUEST;
	if (json_array_size(documents) != 1)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
		        "the body holds %zu YAML documents: send one", json_array_size(documents));
	*ret_body = json_incref(json_array_get(documents, 0));
	return SL_OK;
}

static json_t *load(sl_str text, size_t flags, json_error_t *error)
{
	return json_loadb(text.p ? text.p : "", text.len, flags | JSON_DECODE_ANY, error);
}

static sl_err parse_json(
        sl_str text, bool strict, json_t **ret_body, struct sl_diag *warnings, struct sl_diag *diag)
{
	json_error_t error;
	json_t *body = load(text, JSON_REJECT_DUPLICATES, &error);
	if (!body && json_error_code(&error) == json_error_duplicate_key) {
		if (strict)
			return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
			        "strict decoding error: %s (line %d)", error.text, error.line);
		sl_diag_add(
		        warnings, NULL, NULL, "%s (line %d): the last one counts", error.text, error.line);
		body = load(text, 0, &error);
	}
	if (!body)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
		        "the body is not JSON: %s (line %d, column %d)", error.text, error.line,
		        error.column);
	*ret_body = body;
	return SL_OK;
}

sl_err sl_api_body_parse(sl_str text, enum sl_body_type type, bool strict, json_t **ret_body,
        struct sl_diag *warnings, struct sl_diag *diag)
{
	if (type == SL_BODY_YAML || type == SL_BODY_PATCH_APPLY)
		return parse_yaml(text, ret_body, diag);
	return parse_json(text, strict, ret_body, warnings, diag);
}

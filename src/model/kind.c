#include "model/kind.h"

#include "model/object.h"

#include <stdio.h>

const struct sl_kind *sl_kind_get(enum sl_kind_id id)
{
	assert((unsigned)id < SL_KIND_COUNT);
	return &sl_kind_table[id];
}

bool sl_kind_serves(const struct sl_kind *kind, sl_str version)
{
	for (const char *const *v = kind->versions; *v; v++)
		if (sl_str_eq_c(version, *v))
			return true;
	return false;
}

const struct sl_kind *sl_kind_by_plural(sl_str group, sl_str version, sl_str plural)
{
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		const struct sl_kind *k = &sl_kind_table[i];

		if (sl_str_eq_c(plural, k->plural) && sl_str_eq_c(group, k->group) &&
		        sl_kind_serves(k, version))
			return k;
	}
	return NULL;
}

const struct sl_kind *sl_kind_by_kind(sl_str group, sl_str version, sl_str kind)
{
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		const struct sl_kind *k = &sl_kind_table[i];

		if (sl_str_eq_c(kind, k->kind) && sl_str_eq_c(group, k->group) &&
		        (version.len == 0 || sl_kind_serves(k, version)))
			return k;
	}
	return NULL;
}

static bool is_word(const struct sl_kind *k, sl_str word)
{
	if (sl_str_eq_nocase(word, sl_str_c(k->plural)) || sl_str_eq_nocase(word, sl_str_c(k->singular)) ||
	        sl_str_eq_nocase(word, sl_str_c(k->kind)))
		return true;
	for (const char *const *s = k->short_names; *s; s++)
		if (sl_str_eq_nocase(word, sl_str_c(*s)))
			return true;
	return false;
}

const struct sl_kind *sl_kind_by_word(sl_str word)
{
	sl_str rest = word, name;
	bool has_group = sl_str_split(&rest, '.', &name);

	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		const struct sl_kind *k = &sl_kind_table[i];
		sl_str tail = rest, version;

		if (!is_word(k, name))
			continue;
		if (!has_group || sl_str_eq_c(rest, k->group))
			return k;
		/* "virtualservices.v1.networking.istio.io" */
		if (sl_str_split(&tail, '.', &version) && sl_kind_serves(k, version) &&
		        sl_str_eq_c(tail, k->group))
			return k;
	}
	return NULL;
}

char *sl_kind_api_version(const struct sl_kind *kind, char *dst, size_t size_bytes)
{
	snprintf(dst, size_bytes, "%s%s%s", kind->group, kind->group[0] ? "/" : "", kind->versions[0]);
	return dst;
}

/* Says what would be right: the same kind in another group or version, else nothing near. */
static sl_err no_such_kind(sl_str api_version, sl_str name, struct sl_diag *diag)
{
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		const struct sl_kind *k = &sl_kind_table[i];
		char right[128];

		if (!sl_str_eq_nocase(name, sl_str_c(k->kind)))
			continue;
		sl_kind_api_version(k, right, sizeof(right));
		return sl_diag_fail(diag, SL_ERR_NOT_FOUND, "kind", "FieldValueNotSupported",
		        "no kind \"%.*s\" in \"%.*s\"; kind \"%s\" is in \"%s\"", SL_STR_ARG(name),
		        SL_STR_ARG(api_version), k->kind, right);
	}
	return sl_diag_fail(diag, SL_ERR_NOT_FOUND, "kind", "FieldValueNotSupported",
	        "no kind \"%.*s\" in \"%.*s\"", SL_STR_ARG(name), SL_STR_ARG(api_version));
}

sl_err sl_kind_of(const json_t *obj, const struct sl_kind **ret_kind, struct sl_diag *diag)
{
	sl_str api_version, name, group = SL_STR_NONE, version;
	const struct sl_kind *kind;
	size_t slash;

	if (!json_is_object(obj))
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, "FieldValueTypeInvalid",
		        "the object must be a JSON object");
	api_version = sl_obj_get_str(obj, "apiVersion");
	name = sl_obj_get_str(obj, "kind");
	if (api_version.len == 0)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, "apiVersion", "FieldValueRequired",
		        "missing; a string such as \"apps/v1\" is wanted");
	if (name.len == 0)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, "kind", "FieldValueRequired",
		        "missing; a string such as \"Deployment\" is wanted");
	slash = sl_str_find(api_version, '/');
	version = api_version;
	if (slash < api_version.len) {
		group = sl_str_first(api_version, slash);
		version = sl_str_skip(api_version, slash + 1);
	}
	kind = version.len ? sl_kind_by_kind(group, version, name) : NULL;
	if (!kind)
		return no_such_kind(api_version, name, diag);
	*ret_kind = kind;
	return SL_OK;
}

/* autoscaling/v1 Scale: the replicas of whatever has them, in one shape for kubectl scale and autoscalers. */
#include "control/objects_priv.h"
#include "model/object.h"
#include "model/selector.h"

/* Scale's status.selector is text, the object's may be a LabelSelector. */
static json_t *selector_text(const struct sl_kind *kind, const json_t *body)
{
	const char *path = kind->scale_selector ? kind->scale_selector : ".spec.selector";
	const json_t *selector = sl_obj_get(body, path[0] == '.' ? path + 1 : path);
	if (json_is_string(selector))
		return json_copy((json_t *)(uintptr_t)selector);
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_selector parsed = { 0 };
	if (sl_selector_from_object(selector, &arena, &parsed, NULL) != SL_OK)
		return json_string("");
	return sl_json_from_str(sl_selector_text(&parsed, &arena));
}

json_t *sl_scale_of(const struct sl_kind *kind, const struct sl_object *o)
{
	json_t *scale = json_pack("{s:s, s:s, s:{}, s:{s:I}, s:{s:I, s:o}}", "apiVersion", "autoscaling/v1",
	        "kind", "Scale", "metadata", "spec", "replicas",
	        (json_int_t)sl_obj_get_int(o->body, "spec.replicas", 1), "status", "replicas",
	        (json_int_t)sl_obj_get_int(o->body, "status.replicas", 0), "selector",
	        selector_text(kind, o->body));
	static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion",
		"creationTimestamp" };
	for (size_t i = 0; i < SL_ARRAY_COUNT(kept); i++) {
		json_t *value = json_object_get(json_object_get(o->body, "metadata"), kept[i]);
		if (value)
			json_object_set(json_object_get(scale, "metadata"), kept[i], value);
	}
	return scale;
}

sl_err sl_scale_set(const struct sl_object *o, const json_t *scale, json_t **ret_body, struct sl_diag *diag)
{
	const json_t *replicas = sl_obj_get(scale, "spec.replicas");
	if (!json_is_integer(replicas) || json_integer_value(replicas) < 0)
		return sl_diag_fail(diag, SL_ERR_INVALID, "spec.replicas", "FieldValueInvalid",
		        "must be a whole number, 0 or more");
	json_t *body = json_deep_copy(o->body);
	sl_obj_set(body, "spec.replicas", json_integer(json_integer_value(replicas)));
	*ret_body = body;
	return SL_OK;
}

#include "model/hash.h"

#include "base/mem.h"
#include "base/str.h"
#include "model/object.h"

static void drop_hash_labels(json_t *pod_template)
{
	json_t *labels = sl_obj_get(pod_template, "metadata.labels");

	json_object_del(labels, "pod-template-hash");
	json_object_del(labels, "rollouts-pod-template-hash");
	if (json_is_object(labels) && json_object_size(labels) == 0)
		json_object_del(json_object_get(pod_template, "metadata"), "labels");
}

static bool is_empty(const json_t *v)
{
	return json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0);
}

/* Clients that pass a template through typed structs (kubectl rollout undo) add "resources": {} and "creationTimestamp": null. */
static void drop_empty(json_t *v)
{
	const char *name;
	json_t *member;
	void *next;
	size_t i;

	json_array_foreach (v, i, member)
		drop_empty(member);
	json_object_foreach_safe (v, next, name, member) {
		drop_empty(member);
		if (is_empty(member))
			json_object_del(v, name);
	}
}

char *sl_template_hash(const json_t *pod_template, char dst[SL_TEMPLATE_HASH_LEN + 1])
{
	/* no vowels and no 0, 1, 3: no word, and nothing that reads as another (Kubernetes' rand.SafeEncodeString) */
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	json_t *copy = json_deep_copy(pod_template);
	uint64_t hash;
	char *text;

	drop_hash_labels(copy);
	drop_empty(copy);
	text = sl_json_text(copy);
	hash = sl_hash_bytes(text, strlen(text), 0);
	for (size_t i = 0; i < SL_TEMPLATE_HASH_LEN; i++) {
		dst[i] = alphabet[hash % (sizeof(alphabet) - 1)];
		hash /= sizeof(alphabet) - 1;
	}
	dst[SL_TEMPLATE_HASH_LEN] = 0;
	sl_free(text);
	json_decref(copy);
	return dst;
}

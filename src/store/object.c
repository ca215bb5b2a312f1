#include "store/store_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool sl_object_key_eq(const struct sl_object_key *a, const struct sl_object_key *b)
{
	return sl_str_eq(a->name, b->name) && sl_str_eq(a->ns, b->ns) && sl_str_eq(a->plural, b->plural) &&
	       sl_str_eq(a->group, b->group);
}

/* Copies s to *at with a NUL, moves *at past it, and returns the copy. */
static sl_str key_part(char **at, sl_str s)
{
	sl_str copy = { .p = *at, .len = s.len };
	if (s.len)
		memcpy(*at, s.p, s.len);
	(*at)[s.len] = '\0';
	*at += s.len + 1;
	return copy;
}

static void set_version(json_t *body, uint64_t version)
{
	json_t *metadata = json_object_get(body, "metadata");
	if (!json_is_object(metadata)) {
		metadata = json_object();
		json_object_set_new(body, "metadata", metadata);
	}
	if (!version) {
		json_object_del(metadata, "resourceVersion");
		return;
	}
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, version);
	json_object_set_new(metadata, "resourceVersion", json_string(text));
}

struct sl_object *sl_object_new(const struct sl_object_key *key, json_t *body, uint64_t version)
{
	set_version(body, version);
	const json_t *metadata = json_object_get(body, "metadata");
	const json_t *uid = json_object_get(metadata, "uid");

	struct sl_object *o =
	        sl_new0(sizeof(*o) + key->group.len + key->plural.len + key->ns.len + key->name.len + 4);
	char *at = (char *)(o + 1);
	o->key = (struct sl_object_key) {
		.group = key_part(&at, key->group),
		.plural = key_part(&at, key->plural),
		.ns = key_part(&at, key->ns),
		.name = key_part(&at, key->name),
	};
	o->refs = 1;
	o->resource_version = version;
	o->generation = json_integer_value(json_object_get(metadata, "generation"));
	o->body = body;
	o->uid = sl_str_n(json_string_value(uid), json_string_length(uid));
	char *json = json_dumps(body, JSON_COMPACT);
	if (!json)
		abort(); /* a decoded or built tree always serialises; only memory can be missing */
	o->json = sl_str_c(json);
	return o;
}

struct sl_object *sl_object_ref(struct sl_object *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	return o;
}

void sl_object_unref(struct sl_object *o)
{
	if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	json_decref(o->body);
	free((char *)(uintptr_t)o->json.p); /* from json_dumps */
	sl_free(o);
}

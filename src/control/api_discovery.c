/* Discovery: what there is, for clients that ask before they speak. All of it follows from model's table of kinds. */
#include "control/api_priv.h"
#include "model/openapi.h"

#include <stdio.h>
#include <sys/utsname.h>

/* --- groups and versions --- */

/* The versions of a group in the order of the table: a storage version before what is also served. */
static json_t *group_versions(const char *group)
{
	json_t *versions = json_array();
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		if (strcmp(sl_kind_table[i].group, group) != 0)
			continue;
		for (const char *const *v = sl_kind_table[i].versions; *v; v++) {
			size_t at;
			json_t *known;
			bool seen = false;
			json_array_foreach (versions, at, known) {
				seen = seen ||
				       strcmp(json_string_value(json_object_get(known, "version")), *v) == 0;
			}
			SL_CLEANUP(sl_free) char *both = sl_asprintf("%s/%s", group, *v);
			if (!seen)
				json_array_append_new(versions,
				        json_pack("{s:s, s:s}", "groupVersion", both, "version", *v));
		}
	}
	return versions;
}

static json_t *group_new(const char *group)
{
	json_t *versions = group_versions(group);
	return json_pack("{s:s, s:o, s:O}", "name", group, "versions", versions, "preferredVersion",
	        json_array_get(versions, 0));
}

/* Whether no earlier kind is of the same group. */
static bool begins_group(size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(sl_kind_table[i].group, sl_kind_table[at].group) == 0)
			return false;
	return true;
}

static void reply_groups(struct sl_api_req *r)
{
	json_t *groups = json_array();
	for (size_t i = 0; i < SL_KIND_COUNT; i++)
		if (sl_kind_table[i].group[0] && begins_group(i))
			json_array_append_new(groups, group_new(sl_kind_table[i].group));
	sl_api_reply_json(r, 200,
	        json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", groups));
}

static void reply_group(struct sl_api_req *r)
{
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		if (!sl_str_eq_c(r->route.group, sl_kind_table[i].group) || r->route.group.len == 0)
			continue;
		json_t *group = group_new(sl_kind_table[i].group);
		json_object_set_new(group, "kind", json_string("APIGroup"));
		json_object_set_new(group, "apiVersion", json_string("v1"));
		sl_api_reply_json(r, 200, group);
		return;
	}
	sl_api_fail(r, SL_ERR_NOT_FOUND, "the server could not find the requested resource");
}

static void reply_core_versions(struct sl_api_req *r)
{
	sl_api_reply_json(r, 200,
	        json_pack("{s:s, s:[s], s:[{s:s, s:s}]}", "kind", "APIVersions", "versions", "v1",
	                "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress",
	                r->api->url + strlen("https://")));
}

/* --- resources --- */

static json_t *strings(const char *const *list)
{
	json_t *array = json_array();
	for (; *list; list++)
		json_array_append_new(array, json_string(*list));
	return array;
}

static json_t *resource_new(const struct sl_kind *kind)
{
	json_t *resource = json_pack("{s:s, s:s, s:b, s:s, s:[s,s,s,s,s,s,s,s]}", "name", kind->plural,
	        "singularName", kind->singular, "namespaced", kind->namespaced, "kind", kind->kind, "verbs",
	        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch");
	if (kind->short_names[0])
		json_object_set_new(resource, "shortNames", strings(kind->short_names));
	if (kind->categories[0])
		json_object_set_new(resource, "categories", strings(kind->categories));
	return resource;
}

static void add_subresource(json_t *resources, const struct sl_kind *kind, const char *name)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s", kind->plural, name);
	json_array_append_new(resources,
	        json_pack("{s:s, s:s, s:b, s:s, s:[s,s,s]}", "name", path, "singularName", "", "namespaced",
	                kind->namespaced, "kind", kind->kind, "verbs", "get", "patch", "update"));
}

static void add_scale(json_t *resources, const struct sl_kind *kind)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/scale", kind->plural);
	json_array_append_new(
	        resources, json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:[s,s,s]}", "name", path,
	                           "singularName", "", "namespaced", kind->namespaced, "group", "autoscaling",
	                           "version", "v1", "kind", "Scale", "verbs", "get", "patch", "update"));
}

static void reply_resources(struct sl_api_req *r)
{
	json_t *resources = json_array();
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		const struct sl_kind *kind = &sl_kind_table[i];
		if (!sl_str_eq_c(r->route.group, kind->group) || !sl_kind_serves(kind, r->route.version))
			continue;
		json_array_append_new(resources, resource_new(kind));
		if (kind->has_status)
			add_subresource(resources, kind, "status");
		if (kind->has_scale)
			add_scale(resources, kind);
		if (strcmp(kind->plural, "pods") == 0)
			json_array_append_new(resources,
			        json_pack("{s:s, s:s, s:b, s:s, s:[s]}", "name", "pods/log", "singularName",
			                "", "namespaced", 1, "kind", "Pod", "verbs", "get"));
	}
	if (json_array_size(resources) == 0) {
		json_decref(resources);
		sl_api_fail(r, SL_ERR_NOT_FOUND, "the server could not find the requested resource");
		return;
	}
	SL_CLEANUP(sl_free)
	char *version = sl_asprintf("%.*s%s%.*s", SL_STR_ARG(r->route.group), r->route.group.len ? "/" : "",
	        SL_STR_ARG(r->route.version));
	sl_api_reply_json(r, 200,
	        json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
	                "groupVersion", version, "resources", resources));
}

/* --- the rest --- */

static void reply_version(struct sl_api_req *r)
{
	struct utsname machine;
	uname(&machine);
	SL_CLEANUP(sl_free) char *platform = sl_asprintf("linux/%s", machine.machine);
	/* The version whose API is spoken; kubectl compares its own with it. */
	sl_api_reply_json(r, 200,
	        json_pack("{s:s, s:s, s:s, s:s, s:s}", "major", "1", "minor", "32", "gitVersion",
	                "v1.32.0+sluice-" SL_VERSION, "gitTreeState", "clean", "platform", platform));
}

static void reply_health(struct sl_api_req *r)
{
	const struct sl_api_options *options = &r->api->options;
	bool asks_ready = sl_str_starts(r->http->path, SL_STR("/readyz"));
	const char *why =
	        asks_ready && options->not_ready ? options->not_ready(options->not_ready_arg) : NULL;
	sl_api_reply_text(r, why ? 503 : 200, "text/plain; charset=utf-8", sl_str_c(why ? why : "ok"));
}

static void reply_root(struct sl_api_req *r)
{
	sl_api_reply_json(r, 200,
	        json_pack("{s:[s,s,s,s,s,s,s,s]}", "paths", "/api", "/apis", "/healthz", "/livez", "/metrics",
	                "/openapi/v2", "/readyz", "/version"));
}

/* kubectl asks for protobuf under a media type with an '@', which its own parser refuses to see in the answer. */
static void reply_openapi(struct sl_api_req *r)
{
	if (sl_buf_size(&r->api->openapi) == 0)
		sl_openapi_v2(&r->api->openapi);
	sl_api_reply_text(r, 200, "application/octet-stream", sl_buf_str(&r->api->openapi));
}

void sl_api_discover(struct sl_api_req *r)
{
	if (!sl_api_reads(r)) {
		sl_api_fail(r, SL_ERR_METHOD_NOT_ALLOWED,
		        "the server does not allow this method on the requested resource");
		return;
	}
	switch (r->route.endpoint) {
	case SL_API_ROOT:
		reply_root(r);
		return;
	case SL_API_VERSION:
		reply_version(r);
		return;
	case SL_API_HEALTH:
		reply_health(r);
		return;
	case SL_API_OPENAPI_V2:
		reply_openapi(r);
		return;
	case SL_API_CORE_VERSIONS:
		reply_core_versions(r);
		return;
	case SL_API_GROUPS:
		reply_groups(r);
		return;
	case SL_API_GROUP:
		reply_group(r);
		return;
	case SL_API_RESOURCES:
		reply_resources(r);
		return;
	case SL_API_NONE:
	case SL_API_METRICS:
	case SL_API_COLLECTION:
	case SL_API_OBJECT:
	case SL_API_SUBRESOURCE:
		break;
	}
	sl_api_fail(r, SL_ERR_NOT_FOUND, "the server could not find the requested resource");
}

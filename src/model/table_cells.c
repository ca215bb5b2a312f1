/* The computed cells of tables: a row here for every "@name" in a schema's columns. */
#include "model/table_priv.h"

#include "base/buf.h"
#include "model/object.h"
#include "model/selector.h"

#include <stdio.h>

static json_t *cell_text(struct sl_buf *text, const char *when_empty)
{
	json_t *cell = sl_json_from_str(sl_buf_size(text) ? sl_buf_str(text) : sl_str_c(when_empty));

	sl_buf_fini(text);
	return cell;
}

static void comma(struct sl_buf *text)
{
	sl_buf_c(text, sl_buf_size(text) ? "," : "");
}

/* Pods. Source: kubectl's printPod, as far as containers without init containers go. */

static json_t *pod_ready(const json_t *obj, sl_nsec now)
{
	size_t ready = 0, i;
	json_t *status;
	char text[48];

	(void)now;
	json_array_foreach (sl_obj_get(obj, "status.containerStatuses"), i, status)
		ready += json_is_true(json_object_get(status, "ready"));
	snprintf(text, sizeof(text), "%zu/%zu", ready, json_array_size(sl_obj_get(obj, "spec.containers")));
	return json_string(text);
}

/* Why a container does not run; empty when it runs. */
static void container_reason(const json_t *status, struct sl_buf *reason)
{
	sl_str waiting = sl_obj_get_str(status, "state.waiting.reason"),
	       ended = sl_obj_get_str(status, "state.terminated.reason");
	int64_t signal = sl_obj_get_int(status, "state.terminated.signal", 0);

	if (waiting.len || ended.len) {
		sl_buf_clear(reason);
		sl_buf_str_add(reason, waiting.len ? waiting : ended);
	} else if (sl_obj_get(status, "state.terminated")) {
		sl_buf_clear(reason);
		sl_buf_printf(reason, signal ? "Signal:%lld" : "ExitCode:%lld",
		        (long long)(signal ? signal
		                           : sl_obj_get_int(status, "state.terminated.exitCode", 0)));
	}
}

static json_t *pod_status(const json_t *obj, sl_nsec now)
{
	const json_t *statuses = sl_obj_get(obj, "status.containerStatuses");
	sl_str reason = sl_obj_get_str(obj, "status.reason");
	struct sl_buf text = { 0 };
	bool runs = false;

	(void)now;
	sl_buf_str_add(&text, reason.len ? reason : sl_obj_get_str(obj, "status.phase"));
	for (size_t i = json_array_size(statuses); i-- > 0;) { /* the first container has the last word */
		const json_t *status = json_array_get(statuses, i);

		container_reason(status, &text);
		runs |= json_is_true(json_object_get(status, "ready")) && sl_obj_get(status, "state.running");
	}
	if (sl_str_eq(sl_buf_str(&text), SL_STR("Completed")) && runs) {
		sl_buf_clear(&text);
		sl_buf_c(&text, "Running");
	}
	if (sl_obj_get(obj, "metadata.deletionTimestamp")) {
		sl_buf_clear(&text);
		sl_buf_c(&text, "Terminating");
	}
	return cell_text(&text, "Unknown");
}

static json_t *pod_restarts(const json_t *obj, sl_nsec now)
{
	sl_nsec last = 0, at;
	struct sl_buf text = { 0 };
	int64_t count = 0;
	json_t *status;
	char age[32];
	size_t i;

	json_array_foreach (sl_obj_get(obj, "status.containerStatuses"), i, status) {
		sl_str ended = sl_obj_get_str(status, "lastState.terminated.finishedAt");

		count += sl_obj_get_int(status, "restartCount", 0);
		if (sl_time_parse(ended, &at) == SL_OK && at > last)
			last = at;
	}
	sl_buf_printf(&text, "%lld", (long long)count);
	if (count && last)
		sl_buf_printf(&text, " (%s ago)", sl_age_format(age, now - last));
	return cell_text(&text, "0");
}

/* Services and their endpoints. */

static json_t *service_external_ip(const json_t *obj, sl_nsec now)
{
	const json_t *ingress = sl_obj_get(obj, "status.loadBalancer.ingress");
	bool balanced = sl_str_eq(sl_obj_get_str(obj, "spec.type"), SL_STR("LoadBalancer"));
	struct sl_buf text = { 0 };
	json_t *item;
	size_t i;

	(void)now;
	if (sl_str_eq(sl_obj_get_str(obj, "spec.type"), SL_STR("ExternalName")))
		return sl_json_from_str(sl_obj_get_str(obj, "spec.externalName"));
	json_array_foreach (ingress, i, item) {
		sl_str ip = sl_obj_get_str(item, "ip");

		comma(&text);
		sl_buf_str_add(&text, ip.len ? ip : sl_obj_get_str(item, "hostname"));
	}
	json_array_foreach (sl_obj_get(obj, "spec.externalIPs"), i, item) {
		comma(&text);
		sl_buf_str_add(&text, sl_json_str(item));
	}
	return cell_text(&text, balanced ? "<pending>" : "<none>");
}

static json_t *service_ports(const json_t *obj, sl_nsec now)
{
	struct sl_buf text = { 0 };
	json_t *port;
	size_t i;

	(void)now;
	json_array_foreach (sl_obj_get(obj, "spec.ports"), i, port) {
		int64_t node = sl_obj_get_int(port, "nodePort", 0);
		sl_str protocol = sl_obj_get_str(port, "protocol");

		comma(&text);
		sl_buf_printf(&text, "%lld", (long long)sl_obj_get_int(port, "port", 0));
		if (node)
			sl_buf_printf(&text, ":%lld", (long long)node);
		sl_buf_printf(&text, "/%.*s", SL_STR_ARG(protocol.len ? protocol : SL_STR("TCP")));
	}
	return cell_text(&text, "<none>");
}

static json_t *selector_cell(const json_t *selector, bool is_map)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_selector sel;
	sl_err err = is_map ? sl_selector_from_map(selector, &arena, &sel, NULL)
	                    : sl_selector_from_object(selector, &arena, &sel, NULL);

	if (err != SL_OK || sel.count == 0)
		return json_string("<none>");
	return sl_json_from_str(sl_selector_text(&sel, &arena));
}

static json_t *service_selector(const json_t *obj, sl_nsec now)
{
	(void)now;
	return selector_cell(sl_obj_get(obj, "spec.selector"), true);
}

static json_t *selector(const json_t *obj, sl_nsec now)
{
	(void)now;
	return selector_cell(sl_obj_get(obj, "spec.selector"), false);
}

enum { ADDRESSES_MOST = 3 }; /* shown; then "+ N more..." */

static void add_address(struct sl_buf *text, size_t *count, sl_str address, int64_t port)
{
	if ((*count)++ >= ADDRESSES_MOST)
		return;
	comma(text);
	sl_buf_str_add(text, address);
	if (port)
		sl_buf_printf(text, ":%lld", (long long)port);
}

static json_t *address_cell(struct sl_buf *text, size_t count, const char *when_empty)
{
	if (count > ADDRESSES_MOST)
		sl_buf_printf(text, " + %zu more...", count - ADDRESSES_MOST);
	return cell_text(text, when_empty);
}

static json_t *endpoints(const json_t *obj, sl_nsec now)
{
	struct sl_buf text = { 0 };
	json_t *subset, *address, *port;
	size_t s, a, p, count = 0;

	(void)now;
	json_array_foreach (sl_obj_get(obj, "subsets"), s, subset) {
		const json_t *ports = json_object_get(subset, "ports");

		json_array_foreach (json_object_get(subset, "addresses"), a, address) {
			if (json_array_size(ports) == 0)
				add_address(&text, &count, sl_obj_get_str(address, "ip"), 0);
			json_array_foreach (ports, p, port)
				add_address(&text, &count, sl_obj_get_str(address, "ip"),
				        sl_obj_get_int(port, "port", 0));
		}
	}
	return address_cell(&text, count, "<none>");
}

static json_t *slice_endpoints(const json_t *obj, sl_nsec now)
{
	struct sl_buf text = { 0 };
	json_t *endpoint, *address;
	size_t e, a, count = 0;

	(void)now;
	json_array_foreach (sl_obj_get(obj, "endpoints"), e, endpoint)
		json_array_foreach (json_object_get(endpoint, "addresses"), a, address)
			add_address(&text, &count, sl_json_str(address), 0);
	return address_cell(&text, count, "<unset>");
}

static json_t *slice_ports(const json_t *obj, sl_nsec now)
{
	struct sl_buf text = { 0 };
	size_t i, count = 0;
	char number[24];
	json_t *port;

	(void)now;
	json_array_foreach (sl_obj_get(obj, "ports"), i, port) {
		snprintf(number, sizeof(number), "%lld", (long long)sl_obj_get_int(port, "port", 0));
		add_address(&text, &count, sl_str_c(number), 0);
	}
	return address_cell(&text, count, "<unset>");
}

/* Workloads. */

static json_t *containers_of(const json_t *obj, const char *member)
{
	struct sl_buf text = { 0 };
	json_t *container;
	size_t i;

	json_array_foreach (sl_obj_get(obj, "spec.template.spec.containers"), i, container) {
		comma(&text);
		sl_buf_str_add(&text, sl_obj_get_str(container, member));
	}
	return cell_text(&text, "<none>");
}

static json_t *containers(const json_t *obj, sl_nsec now)
{
	(void)now;
	return containers_of(obj, "name");
}

static json_t *images(const json_t *obj, sl_nsec now)
{
	(void)now;
	return containers_of(obj, "image");
}

static json_t *deployment_ready(const json_t *obj, sl_nsec now)
{
	char text[48];

	(void)now;
	snprintf(text, sizeof(text), "%lld/%lld", (long long)sl_obj_get_int(obj, "status.readyReplicas", 0),
	        (long long)sl_obj_get_int(obj, "spec.replicas", 1));
	return json_string(text);
}

static json_t *updated_replicas(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_integer(sl_obj_get_int(obj, "status.updatedReplicas", 0));
}

static json_t *available_replicas(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_integer(sl_obj_get_int(obj, "status.availableReplicas", 0));
}

static json_t *desired_replicas(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_integer(sl_obj_get_int(obj, "spec.replicas", 1));
}

static json_t *current_replicas(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_integer(sl_obj_get_int(obj, "status.replicas", 0));
}

static json_t *ready_replicas(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_integer(sl_obj_get_int(obj, "status.readyReplicas", 0));
}

/* Events. */

static json_t *age_of(sl_str time, sl_nsec now)
{
	sl_nsec at;
	char age[32];

	if (sl_time_parse(time, &at) != SL_OK)
		return json_string("<unknown>");
	return json_string(sl_age_format(age, now - at));
}

static json_t *event_last_seen(const json_t *obj, sl_nsec now)
{
	static const char *const times[] = { "series.lastObservedTime", "lastTimestamp", "eventTime",
		"metadata.creationTimestamp" };
	sl_str time = SL_STR_NONE;

	for (size_t i = 0; i < SL_ARRAY_COUNT(times) && time.len == 0; i++)
		time = sl_obj_get_str(obj, times[i]);
	return age_of(time, now);
}

static json_t *event_first_seen(const json_t *obj, sl_nsec now)
{
	sl_str first = sl_obj_get_str(obj, "firstTimestamp");

	return age_of(first.len ? first : sl_obj_get_str(obj, "eventTime"), now);
}

static json_t *event_object(const json_t *obj, sl_nsec now)
{
	sl_str kind = sl_obj_get_str(obj, "involvedObject.kind");
	struct sl_buf text = { 0 };

	(void)now;
	for (size_t i = 0; i < kind.len; i++)
		sl_buf_byte(&text, kind.p[i] >= 'A' && kind.p[i] <= 'Z' ? (char)(kind.p[i] + 32) : kind.p[i]);
	sl_buf_printf(&text, "/%.*s", SL_STR_ARG(sl_obj_get_str(obj, "involvedObject.name")));
	return cell_text(&text, "");
}

static json_t *event_source(const json_t *obj, sl_nsec now)
{
	sl_str component = sl_obj_get_str(obj, "source.component"), host = sl_obj_get_str(obj, "source.host");
	struct sl_buf text = { 0 };

	(void)now;
	sl_buf_str_add(&text, component.len ? component : sl_obj_get_str(obj, "reportingComponent"));
	if (host.len)
		sl_buf_printf(&text, ", %.*s", SL_STR_ARG(host));
	return cell_text(&text, "");
}

static json_t *event_count(const json_t *obj, sl_nsec now)
{
	char text[24];

	(void)now;
	snprintf(text, sizeof(text), "%lld",
	        (long long)sl_obj_get_int(obj, "series.count", sl_obj_get_int(obj, "count", 1)));
	return json_string(text);
}

/* The rest. */

static json_t *data_count(const json_t *obj, sl_nsec now)
{
	(void)now;
	size_t texts = json_object_size(json_object_get(obj, "data"));
	size_t bytes = json_object_size(json_object_get(obj, "binaryData"));

	return json_integer((json_int_t)texts + (json_int_t)bytes);
}

static json_t *secrets_count(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_integer((json_int_t)json_array_size(json_object_get(obj, "secrets")));
}

static json_t *ingress_hosts(const json_t *obj, sl_nsec now)
{
	struct sl_buf text = { 0 };
	json_t *rule;
	size_t i;

	(void)now;
	json_array_foreach (sl_obj_get(obj, "spec.rules"), i, rule) {
		sl_str host = sl_obj_get_str(rule, "host");

		if (host.len == 0)
			continue;
		comma(&text);
		sl_buf_str_add(&text, host);
	}
	return cell_text(&text, "*");
}

static json_t *ingress_ports(const json_t *obj, sl_nsec now)
{
	(void)now;
	return json_string(json_array_size(sl_obj_get(obj, "spec.tls")) ? "80, 443" : "80");
}

static json_t *gateway_programmed(const json_t *obj, sl_nsec now)
{
	sl_str status = sl_obj_get_str(sl_obj_condition(obj, "Programmed"), "status");

	(void)now;
	return status.len ? sl_json_from_str(status) : json_null();
}

static const struct {
	const char *name;
	sl_table_cell_fn *make;
} cells[] = {
#define CELL(fn)        \
	{               \
#fn, fn \
	}
	CELL(available_replicas),
	CELL(containers),
	CELL(current_replicas),
	CELL(data_count),
	CELL(deployment_ready),
	CELL(desired_replicas),
	CELL(endpoints),
	CELL(event_count),
	CELL(event_first_seen),
	CELL(event_last_seen),
	CELL(event_object),
	CELL(event_source),
	CELL(gateway_programmed),
	CELL(images),
	CELL(ingress_hosts),
	CELL(ingress_ports),
	CELL(pod_ready),
	CELL(pod_restarts),
	CELL(pod_status),
	CELL(ready_replicas),
	CELL(secrets_count),
	CELL(selector),
	CELL(service_external_ip),
	CELL(service_ports),
	CELL(service_selector),
	CELL(slice_endpoints),
	CELL(slice_ports),
	CELL(updated_replicas),
#undef CELL
};

sl_table_cell_fn *sl_table_cell(const char *name)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(cells); i++)
		if (strcmp(cells[i].name, name) == 0)
			return cells[i].make;
	return NULL;
}

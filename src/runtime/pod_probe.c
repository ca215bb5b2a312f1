/* A container's probes: the machine of probe.h decides, ask.h does. */
#include "runtime/process_priv.h"

#include "model/object.h"
#include "runtime/env.h"

#include <inttypes.h>

static const char *const kind_names[] = {
	[SL_PROBE_STARTUP] = "Startup",
	[SL_PROBE_READINESS] = "Readiness",
	[SL_PROBE_LIVENESS] = "Liveness",
};
static const char *const kind_fields[] = {
	[SL_PROBE_STARTUP] = "startupProbe",
	[SL_PROBE_READINESS] = "readinessProbe",
	[SL_PROBE_LIVENESS] = "livenessProbe",
};
static_assert(SL_ARRAY_COUNT(kind_names) == SL_PROBE_KINDS, "a row per kind");
static_assert(SL_ARRAY_COUNT(kind_fields) == SL_PROBE_KINDS, "a row per kind");

static struct sl_loop *loop_of(const struct sl_pod_probe *p)
{
	return p->container->pod->rt->loop;
}

/* The port a probe means, by name or container port, is where it was put on this machine; another number is taken as it is. */
static uint16_t resolve_port(const struct sl_pod_container *c, const json_t *port)
{
	const json_t *list = json_object_get(c->spec, "ports");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *it = json_array_get(list, i);
		bool same = json_is_string(port) ? json_equal(json_object_get(it, "name"), port)
		                                 : json_equal(json_object_get(it, "containerPort"), port);

		if (same)
			return (uint16_t)sl_obj_get_int(it, "hostPort", 0);
	}
	return json_is_integer(port) ? (uint16_t)json_integer_value(port) : 0;
}

static void arm(struct sl_pod_probe *p)
{
	sl_nsec due = sl_probe_due(&p->machine);

	if (due != SL_NSEC_MAX)
		sl_timer_at(loop_of(p), &p->timer, due);
}

/* The first success of the startup probe lets the others begin; without one they begin with the run. */
static void begin(struct sl_pod_probe *p, bool passed)
{
	const json_t *s = p->spec;
	struct sl_probe_config config = {
		.initial_delay = SL_SEC(sl_obj_get_int(s, "initialDelaySeconds", 0)),
		.period = SL_SEC(sl_obj_get_int(s, "periodSeconds", 10)),
		.timeout = SL_SEC(sl_obj_get_int(s, "timeoutSeconds", 1)),
		.success_threshold = (int)sl_obj_get_int(s, "successThreshold", 1),
		.failure_threshold = (int)sl_obj_get_int(s, "failureThreshold", 3),
		.eager = p->kind != SL_PROBE_LIVENESS,
	};

	if (!s)
		return;
	sl_probe_start(&p->machine, &config, sl_loop_now(loop_of(p)), passed);
	p->on = true;
	arm(p);
}

static void begin_others(struct sl_pod_container *c, bool was_ready)
{
	struct sl_pod_probe *readiness = &c->probes[SL_PROBE_READINESS];

	c->started = true;
	c->ready = was_ready || !readiness->spec;
	begin(readiness, was_ready);
	begin(&c->probes[SL_PROBE_LIVENESS], was_ready);
	sl_pod_report(c->pod);
}

static void apply(struct sl_pod_probe *p)
{
	struct sl_pod_container *c = p->container;
	bool pass = p->machine.result == SL_PROBE_PASS;

	if (p->kind == SL_PROBE_READINESS) {
		c->ready = pass;
		sl_pod_report(c->pod);
	} else if (p->kind == SL_PROBE_STARTUP && pass) {
		p->on = false; /* it has done its work for this run */
		begin_others(c, false);
	} else if (!pass) {
		sl_pod_container_unhealthy(c, p->kind);
	}
}

static void on_answer(struct sl_ask *ask, bool ok, const char *text)
{
	struct sl_pod_probe *p = SL_CONTAINER_OF(ask, struct sl_pod_probe, ask);
	int failures = p->machine.failures;
	bool changed = sl_probe_answered(&p->machine, ok, sl_loop_now(loop_of(p)));

	if (p->machine.failures > failures)
		sl_pod_event(p->container->pod, true, "Unhealthy", "%s probe failed: %s", kind_names[p->kind],
		        text);
	if (changed)
		apply(p);
	if (p->on)
		arm(p);
}

/* --- asking --- */

static void ask_http(struct sl_pod_probe *p, const json_t *how)
{
	const json_t *list = json_object_get(how, "httpHeaders");
	size_t count = json_array_size(list);
	SL_CLEANUP(sl_free) struct sl_http_pair *headers = sl_new0_array(count + 1, sizeof(*headers));
	sl_str host = sl_obj_get_str(how, "host"), path = sl_obj_get_str(how, "path");
	bool tls = sl_str_eq(sl_obj_get_str(how, "scheme"), SL_STR("HTTPS"));
	uint16_t port = resolve_port(p->container, json_object_get(how, "port"));
	SL_CLEANUP(sl_free) char *url = sl_asprintf("%s://%.*s:%u%s%.*s", tls ? "https" : "http",
	        SL_STR_ARG(host.len ? host : SL_STR("127.0.0.1")), (unsigned)port,
	        sl_str_starts(path, SL_STR("/")) ? "" : "/", SL_STR_ARG(path));

	for (size_t i = 0; i < count; i++) {
		const json_t *h = json_array_get(list, i);

		headers[i] = (struct sl_http_pair) { sl_obj_get_str(h, "name"), sl_obj_get_str(h, "value") };
	}
	sl_ask_http(&p->ask, loop_of(p), p->container->pod->rt->fetcher, url, headers, count,
	        p->machine.config.timeout, on_answer);
}

static void ask_tcp(struct sl_pod_probe *p, const json_t *how)
{
	sl_str host = sl_obj_get_str(how, "host");

	sl_ask_tcp(&p->ask, loop_of(p), host.len ? host : SL_STR("127.0.0.1"),
	        resolve_port(p->container, json_object_get(how, "port")), p->machine.config.timeout,
	        on_answer);
}

static void ask_exec(struct sl_pod_probe *p, const json_t *how)
{
	const struct sl_pod_container *c = p->container;
	const json_t *command = json_object_get(how, "command");
	SL_CLEANUP(sl_free) const char **argv = sl_new0_array(json_array_size(command) + 2, sizeof(*argv));
	SL_CLEANUP(sl_free) char *dir = sl_pod_run_dir(c->pod, c->name, c->run);
	sl_str cwd = sl_obj_get_str(c->spec, "workingDir");
	struct sl_env env;

	for (size_t i = 0; i < json_array_size(command); i++)
		argv[i] = json_string_value(json_array_get(command, i));
	if (!argv[0])
		argv[0] = "false"; /* nothing to run cannot succeed */
	sl_env_init(&env);
	/* What is missing was missing when the container started, too; the probe sees what is there. */
	SL_IGNORE(sl_env_build(&env, c->pod->body, c->spec, &c->pod->rt->host, NULL));
	sl_ask_exec(&p->ask, loop_of(p),
	        &(struct sl_spawn) { .argv = argv, .env = sl_env_list(&env), .cwd = cwd.len ? cwd.p : dir },
	        p->machine.config.timeout, on_answer);
	sl_env_fini(&env);
}

static void on_due(struct sl_loop *loop, struct sl_timer *t)
{
	static const struct {
		const char *field;
		void (*ask)(struct sl_pod_probe *p, const json_t *how);
	} ways[] = { { "httpGet", ask_http }, { "tcpSocket", ask_tcp }, { "exec", ask_exec } };
	struct sl_pod_probe *p = SL_CONTAINER_OF(t, struct sl_pod_probe, timer);

	sl_probe_asked(&p->machine, sl_loop_now(loop));
	for (size_t i = 0; i < SL_ARRAY_COUNT(ways); i++) {
		const json_t *how = json_object_get(p->spec, ways[i].field);

		if (how) {
			ways[i].ask(p, how);
			return;
		}
	}
}

/* --- for pod.c --- */

void sl_pod_probes_start(struct sl_pod_container *c, bool was_ready)
{
	for (int k = 0; k < SL_PROBE_KINDS; k++) {
		struct sl_pod_probe *p = &c->probes[k];

		p->container = c;
		p->kind = (enum sl_probe_kind)k;
		p->spec = json_object_get(c->spec, kind_fields[k]);
		p->timer.fn = on_due;
		/* One that asks nothing is no probe (Kubernetes refuses it; here its absence of an opinion is success). */
		if (!json_object_get(p->spec, "httpGet") && !json_object_get(p->spec, "tcpSocket") &&
		        !json_object_get(p->spec, "exec"))
			p->spec = NULL;
	}
	if (c->probes[SL_PROBE_STARTUP].spec && !was_ready)
		begin(&c->probes[SL_PROBE_STARTUP], false);
	else
		begin_others(c, was_ready);
}

void sl_pod_probes_stop(struct sl_pod_container *c)
{
	for (int k = 0; k < SL_PROBE_KINDS; k++) {
		struct sl_pod_probe *p = &c->probes[k];

		p->on = false;
		sl_timer_stop(c->pod->rt->loop, &p->timer);
		sl_ask_cancel(&p->ask);
	}
	c->ready = false;
	c->started = false;
}

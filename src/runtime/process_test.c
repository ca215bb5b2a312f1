/* Pods as real processes under a host that only notes what it is told; time is virtual, so a back-off of minutes takes none. */
#include "base/test.h"

#include "runtime/process_priv.h"

#include "model/object.h"
#include "os/clock.h"
#include "os/file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct sl_loop loop;
	char *temp;
	struct sl_runtime *rt;
	json_t *status; /* last told; NULL: none */
	int told, gone;
	struct sl_buf events; /* "REASON: text" lines */
};

static struct fixture f;

static void on_status(void *arg, sl_str uid, json_t *status)
{
	(void)arg, (void)uid;
	json_decref(f.status);
	f.status = json_incref(status);
	f.told++;
}

static void on_event(void *arg, sl_str uid, bool warning, const char *reason, const char *text)
{
	(void)arg, (void)uid, (void)warning;
	sl_buf_printf(&f.events, "%s: %s\n", reason, text);
}

static void on_gone(void *arg, sl_str uid)
{
	(void)arg, (void)uid;
	f.gone++;
}

static const json_t *on_config(void *arg, const char *plural, sl_str ns, sl_str name)
{
	(void)arg, (void)plural, (void)ns, (void)name;
	return NULL;
}

static void on_service_env(
        void *arg, sl_str ns, void (*each)(void *to, const char *name, const char *value), void *to)
{
	(void)arg, (void)ns, (void)each, (void)to;
}

static char own_path[4096];

static void open_runtime(void)
{
	const char *const shim[] = { own_path, "shim", NULL };
	static const char *kept[3];
	SL_CLEANUP(sl_free) char *dir = sl_asprintf("%s/pods", f.temp);
	struct sl_process_runtime_options options = {
		.loop = &f.loop,
		.host = { NULL, on_status, on_event, on_gone, on_config, on_service_env },
		.dir = dir,
		.node_name = "here",
		.shim_argv = kept,
	};

	memcpy(kept, shim, sizeof(shim));
	sl_assert_ok(sl_process_runtime_new(&f.rt, &options, NULL));
}

static int setup(void **state)
{
	(void)state;
	f = (struct fixture) { 0 };
	sl_assert_ok(sl_loop_init(&f.loop, &(struct sl_loop_config) { .virtual_time = true }));
	sl_assert_ok(sl_dir_make_temp("process", &f.temp));
	open_runtime();
	return 0;
}

static bool pods_dir_empty(void *arg)
{
	SL_CLEANUP(sl_free) char *dir = sl_asprintf("%s/pods/u1", f.temp);

	(void)arg;
	return !sl_path_exists(dir);
}

static int teardown(void **state)
{
	(void)state;
	f.rt->ops->stop(f.rt, SL_STR("u1"), 0);
	assert_true(sl_loop_run_until(&f.loop, pods_dir_empty, NULL, SL_SEC(30)));
	sl_runtime_close(f.rt);
	sl_loop_fini(&f.loop);
	sl_assert_ok(sl_path_remove(f.temp));
	sl_free(f.temp);
	json_decref(f.status);
	sl_buf_fini(&f.events);
	return 0;
}

/* --- pods --- */

static json_t *pod_of(const char *script, const char *more)
{
	SL_CLEANUP(sl_free)
	char *text = sl_asprintf(
	        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"default\","
	        "\"uid\":\"u1\"},\"spec\":{\"nodeName\":\"here\",\"restartPolicy\":\"Always\","
	        "\"containers\":[{\"name\":\"main\",\"image\":\"x:v1\",\"command\":[\"sh\",\"-c\",\"%s\"]%s}]}}",
	        script, more);
	json_t *pod = json_loads(text, 0, NULL);

	assert_non_null(pod);
	return pod;
}

static void run(const char *script, const char *more)
{
	json_t *pod = pod_of(script, more);

	f.rt->ops->run(f.rt, pod);
	json_decref(pod);
}

static sl_str in_status(const char *path)
{
	return sl_obj_get_str(json_array_get(json_object_get(f.status, "containerStatuses"), 0), path);
}

static int64_t restarts(void)
{
	return sl_obj_get_int(
	        json_array_get(json_object_get(f.status, "containerStatuses"), 0), "restartCount", -1);
}

static bool is_ready(void *arg)
{
	(void)arg;
	return sl_obj_get_bool(json_array_get(json_object_get(f.status, "containerStatuses"), 0), "ready");
}

static bool is_unready(void *arg)
{
	return f.status && !is_ready(arg);
}

static bool backs_off(void *arg)
{
	return sl_str_eq(in_status("state.waiting.reason"), SL_STR("CrashLoopBackOff")) &&
	       restarts() == *(int64_t *)arg;
}

static void wait_until(bool (*done)(void *arg), void *arg)
{
	assert_true(sl_loop_run_until(&f.loop, done, arg, SL_SEC(30)));
}

/* Lets virtual time pass beside the real time that processes take. */
static void pass_until(bool (*done)(void *arg), void *arg)
{
	sl_nsec give_up = sl_clock_mono() + SL_SEC(30);

	while (!done(arg)) {
		assert_true(sl_clock_mono() < give_up);
		sl_loop_advance(&f.loop, SL_MSEC(100));
		sl_loop_run_until(&f.loop, done, arg, SL_MSEC(20));
	}
}

static void a_pod_runs_and_ends(void **state)
{
	(void)state;
	run("echo up; exec sleep 1000", "");
	wait_until(is_ready, NULL);
	sl_assert_str(sl_obj_get_str(f.status, "phase"), "Running");
	sl_assert_str(sl_obj_get_str(f.status, "podIP"), "127.0.0.1");
	assert_int_equal(restarts(), 0);
	assert_non_null(strstr(sl_buf_cstr(&f.events), "Started: Started container main\n"));
	f.rt->ops->stop(f.rt, SL_STR("u1"), SL_SEC(5));
	wait_until(pods_dir_empty, NULL);
	assert_int_equal(f.gone, 1);
	assert_non_null(strstr(sl_buf_cstr(&f.events), "Killing: Stopping container main\n"));
}

static void a_pod_never_run_is_gone_at_once(void **state)
{
	(void)state;
	f.rt->ops->stop(f.rt, SL_STR("never"), SL_SEC(30));
	assert_int_equal(f.gone, 0); /* later, not from within */
	sl_loop_turn(&f.loop, 0);
	assert_int_equal(f.gone, 1);
}

static void crashes_wait_longer_each_time(void **state)
{
	static const int waits_s[] = { 10, 20, 40, 80, 160, 300, 300 };

	(void)state;
	run("exit 3", "");
	for (size_t i = 0; i < SL_ARRAY_COUNT(waits_s); i++) {
		int64_t count = (int64_t)i + 1; /* the first restart comes at once */

		wait_until(backs_off, &count);
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
		char wait[32];
		sl_buf_printf(&text, "back-off %s restarting failed container=main pod=p_default(u1)",
		        sl_duration_format(wait, SL_SEC(waits_s[i])));
		sl_assert_str(in_status("state.waiting.message"), sl_buf_cstr(&text));
		int told = f.told;

		sl_loop_advance(&f.loop, SL_SEC(waits_s[i]) - SL_MSEC(10));
		assert_int_equal(f.told, told);
		sl_loop_advance(&f.loop, SL_MSEC(20));
	}
	assert_int_equal(sl_obj_get_int(json_array_get(json_object_get(f.status, "containerStatuses"), 0),
	                         "lastState.terminated.exitCode", 0),
	        3);
}

static void readiness_comes_and_goes(void **state)
{
	SL_CLEANUP(sl_free) char *flag = sl_asprintf("%s/flag", f.temp);
	SL_CLEANUP(sl_free)
	char *probe = sl_asprintf(
	        ",\"readinessProbe\":{\"exec\":{\"command\":[\"test\",\"-e\",\"%s\"]},\"periodSeconds\":1,"
	        "\"failureThreshold\":2}",
	        flag);

	(void)state;
	run("exec sleep 1000", probe);
	pass_until(is_unready, NULL);
	sl_loop_advance(&f.loop, SL_SEC(3));
	assert_false(is_ready(NULL));
	sl_assert_ok(sl_file_write(flag, SL_STR(""), 0600));
	pass_until(is_ready, NULL);
	sl_assert_ok(sl_path_remove(flag));
	pass_until(is_unready, NULL);
	assert_int_equal(restarts(), 0);
	assert_non_null(
	        strstr(sl_buf_cstr(&f.events), "Unhealthy: Readiness probe failed: command exited with 1\n"));
}

static bool has_restarted(void *arg)
{
	(void)arg;
	return restarts() == 1;
}

static void a_failed_liveness_probe_restarts(void **state)
{
	(void)state;
	run("exec sleep 1000",
	        ",\"livenessProbe\":{\"exec\":{\"command\":[\"false\"]},\"periodSeconds\":5,\"failureThreshold\":3}");
	pass_until(has_restarted, NULL);
	assert_non_null(strstr(sl_buf_cstr(&f.events),
	        "Killing: Container main failed liveness probe, will be restarted\n"));
	assert_int_equal(sl_obj_get_int(json_array_get(json_object_get(f.status, "containerStatuses"), 0),
	                         "lastState.terminated.exitCode", 0),
	        128 + SIGTERM);
}

static void a_startup_probe_holds_the_others_back(void **state)
{
	SL_CLEANUP(sl_free) char *flag = sl_asprintf("%s/flag", f.temp);
	SL_CLEANUP(sl_free)
	char *probes = sl_asprintf(
	        ",\"startupProbe\":{\"exec\":{\"command\":[\"test\",\"-e\",\"%s\"]},\"periodSeconds\":5,"
	        "\"failureThreshold\":100},\"livenessProbe\":{\"exec\":{\"command\":[\"test\",\"-e\",\"%s\"]},"
	        "\"periodSeconds\":1,\"failureThreshold\":1}",
	        flag, flag);

	(void)state;
	run("exec sleep 1000", probes);
	pass_until(is_unready, NULL);
	sl_loop_advance(&f.loop, SL_SEC(20));
	assert_int_equal(restarts(), 0);
	sl_assert_ok(sl_file_write(flag, SL_STR(""), 0600));
	pass_until(is_ready, NULL);
	sl_assert_ok(sl_path_remove(flag));
	pass_until(has_restarted, NULL); /* now liveness counts */
}

static void a_new_runtime_adopts(void **state)
{
	json_t *pod = pod_of("exec sleep 1000", "");

	(void)state;
	f.rt->ops->run(f.rt, pod);
	wait_until(is_ready, NULL);
	json_t *before = json_deep_copy(f.status);

	sl_runtime_close(f.rt);
	f.told = 0;
	open_runtime();
	json_object_set_new(pod, "status", before);
	f.rt->ops->run(f.rt, pod);
	f.rt->ops->sweep(f.rt);
	for (int i = 0; i < 20; i++)
		sl_loop_turn(&f.loop, SL_MSEC(5));
	assert_int_equal(f.told, 0); /* nothing has changed, not even for a moment */
	assert_int_equal(f.gone, 0);
	kill((pid_t)atoi(in_status("containerID").p + strlen("process://")), SIGKILL);
	wait_until(has_restarted, NULL);
	json_decref(pod);
}

static void sweeping_ends_what_nobody_claims(void **state)
{
	(void)state;
	run("exec sleep 1000", "");
	wait_until(is_ready, NULL);
	pid_t pid = (pid_t)atoi(in_status("containerID").p + strlen("process://"));

	sl_runtime_close(f.rt);
	open_runtime();
	f.rt->ops->sweep(f.rt);
	wait_until(pods_dir_empty, NULL);
	assert_int_equal(kill(pid, 0), -1);
}

/* --- logs --- */

static bool has_ended(void *arg)
{
	(void)arg;
	return in_status("state.terminated.reason").len > 0;
}

static void logs_are_cut_as_asked(void **state)
{
	static const struct {
		struct sl_log_options options;
		const char *text;
	} cases[] = {
		{ { .tail_lines = -1, .limit_bytes = -1 }, "one\ntwo\nthree\n" },
		{ { .tail_lines = 2, .limit_bytes = -1 }, "two\nthree\n" },
		{ { .tail_lines = 0, .limit_bytes = -1 }, "" },
		{ { .tail_lines = 9, .limit_bytes = -1 }, "one\ntwo\nthree\n" },
		{ { .tail_lines = -1, .limit_bytes = 5 }, "one\nt" },
		{ { .tail_lines = -1, .limit_bytes = 0 }, "" },
		{ { .tail_lines = -1, .limit_bytes = -1, .follow = true }, "one\ntwo\nthree\n" },
		{ { .tail_lines = -1, .limit_bytes = -1, .since = INT64_C(4000000000000000000) }, "" },
		{ { .tail_lines = 1, .limit_bytes = -1, .container = { "main", 4 } }, "three\n" },
	};
	json_t *pod = pod_of("echo one; echo two; echo three", "");

	(void)state;
	sl_obj_set(pod, "spec.restartPolicy", json_string("Never"));
	f.rt->ops->run(f.rt, pod);
	json_decref(pod);
	wait_until(has_ended, NULL);
	sl_assert_str(sl_obj_get_str(f.status, "phase"), "Succeeded");
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };
		struct sl_log_stream *stream;
		sl_err err;

		sl_assert_ok(f.rt->ops->logs(f.rt, SL_STR("u1"), &cases[i].options, &stream, NULL));
		while ((err = stream->ops->read(stream, &out, 4)) == SL_OK)
			assert_true(sl_buf_size(&out) <= strlen(cases[i].text));
		sl_assert_err(err, SL_ERR_EOF);
		sl_assert_str(sl_buf_str(&out), cases[i].text);
		stream->ops->close(stream);
	}
}

static void logs_that_are_not_there_say_why(void **state)
{
	static const struct {
		sl_str uid;
		struct sl_log_options options;
		sl_err err;
		const char *text;
	} cases[] = {
		{ { "u2", 2 }, { .tail_lines = -1 }, SL_ERR_NOT_FOUND, "has not been started" },
		{ { "u1", 2 }, { .container = { "x", 1 } }, SL_ERR_BAD_REQUEST, "it has [main]" },
		{ { "u1", 2 }, { .previous = true }, SL_ERR_BAD_REQUEST,
		        "previous terminated container \"main\"" },
	};

	(void)state;
	run("exec sleep 1000", "");
	wait_until(is_ready, NULL);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_log_stream *stream;

		sl_assert_err(
		        f.rt->ops->logs(f.rt, cases[i].uid, &cases[i].options, &stream, &diag), cases[i].err);
		assert_non_null(strstr(sl_diag_text(&diag), cases[i].text));
	}
}

/* --- ports --- */

static bool below_20010_taken(void *arg, uint16_t port)
{
	(void)arg;
	return port < 20010;
}

static void binding_gives_every_port_a_place(void **state)
{
	json_t *pod = pod_of("true",
	        ",\"ports\":[{\"containerPort\":80},{\"containerPort\":81,\"hostPort\":9081},{\"containerPort\":82}]");
	json_t *ports = json_object_get(json_array_get(sl_obj_get(pod, "spec.containers"), 0), "ports");

	(void)state;
	json_object_del(json_object_get(pod, "spec"), "nodeName");
	sl_assert_ok(f.rt->ops->bind(f.rt, pod, below_20010_taken, NULL, NULL));
	sl_assert_str(sl_obj_get_str(pod, "spec.nodeName"), "here");
	int64_t a = sl_obj_get_int(json_array_get(ports, 0), "hostPort", 0);
	int64_t b = sl_obj_get_int(json_array_get(ports, 2), "hostPort", 0);

	assert_in_range(a, 20010, 32767);
	assert_in_range(b, 20010, 32767);
	assert_true(a != b);
	assert_int_equal(sl_obj_get_int(json_array_get(ports, 1), "hostPort", 0), 9081);
	json_decref(pod);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		ROW(a_pod_runs_and_ends),
		ROW(a_pod_never_run_is_gone_at_once),
		ROW(crashes_wait_longer_each_time),
		ROW(readiness_comes_and_goes),
		ROW(a_failed_liveness_probe_restarts),
		ROW(a_startup_probe_holds_the_others_back),
		ROW(a_new_runtime_adopts),
		ROW(sweeping_ends_what_nobody_claims),
		ROW(logs_are_cut_as_asked),
		ROW(logs_that_are_not_there_say_why),
		ROW(binding_gives_every_port_a_place),
	};
	ssize_t n = readlink("/proc/self/exe", own_path, sizeof(own_path) - 1);

	if (argc > 1 && strcmp(argv[1], "shim") == 0)
		return sl_shim_main(argc - 1, argv + 1);
	own_path[n > 0 ? n : 0] = 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/test.h"

#include "base/buf.h"
#include "proxy/options.h"
#include "proxy/stats.h"

#include <stdlib.h>

static void has(struct sl_buf *b, const char *line)
{
	if (!strstr(sl_buf_cstr(b), line))
		fail_msg("not there: %s\nin:\n%s", line, sl_buf_cstr(b));
}

#define V2_LABELS(reporter, policy)                                                                                 \
	"{reporter=\"" reporter "\",source_workload=\"unknown\",source_canonical_service=\"unknown\","              \
	"source_canonical_revision=\"latest\",source_workload_namespace=\"unknown\",source_principal=\"unknown\","  \
	"source_app=\"unknown\",source_version=\"unknown\",source_cluster=\"unknown\","                             \
	"destination_workload=\"reviews-v2\",destination_workload_namespace=\"default\","                           \
	"destination_principal=\"unknown\",destination_app=\"reviews\",destination_version=\"v2\","                 \
	"destination_service=\"reviews.default.svc.cluster.local\",destination_canonical_service=\"reviews\","      \
	"destination_canonical_revision=\"v2\",destination_service_name=\"reviews\","                               \
	"destination_service_namespace=\"default\",destination_cluster=\"unknown\",request_protocol=\"http\","      \
	"response_code=\"200\",grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=\"" policy \
	"\""

static void workers_are_summed_with_istios_labels(void **state)
{
	struct sl_stats a = { 0 }, b = { 0 }, *both[] = { &a, &b };
	const struct sl_stats *readers[] = { &a, &b };
	struct sl_stats_text how = { .workers = readers, .worker_count = 2, .both_reporters = true };
	struct sl_dest_labels labels = { .cluster = SL_STR("outbound|9080|v2|reviews"),
		.service_host = SL_STR("reviews.default.svc.cluster.local"),
		.service_name = SL_STR("reviews"),
		.service_namespace = SL_STR("default"),
		.workload = SL_STR("reviews-v2"),
		.workload_namespace = SL_STR("default"),
		.app = SL_STR("reviews"),
		.version = SL_STR("v2") };
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sl_series *x =
		        sl_dest_series(both[i], sl_stats_dest(both[i], &labels), 200, SL_FLAG_NONE);

		SL_STAT_ADD(x->requests, 3 + (uint64_t)i);
		sl_stat_duration(&x->duration, SL_USEC(500));     /* exactly the first bound */
		sl_stat_duration(&x->duration, SL_USEC(500) + 1); /* just above it */
		sl_stat_bytes(&x->response_bytes, 100);
		sl_stats_cluster(both[i], SL_STR("c"))->judged = 5;
		sl_stats_split(both[i], SL_STR("rc"), SL_STR("host"), SL_STR("r\"1"), SL_STR("c"))->picked =
		        2;
		both[i]->snapshot_epoch = 9 - (uint64_t)i;
	}
	sl_stats_prometheus(&how, &out);
	has(&out, "# TYPE istio_requests_total counter\n");
	has(&out, "istio_requests_total" V2_LABELS("source", "unknown") "} 7\n");
	has(&out, "istio_requests_total" V2_LABELS("destination", "none") "} 7\n");
	has(&out, "# TYPE istio_request_duration_milliseconds histogram\n");
	has(&out, "istio_request_duration_milliseconds_bucket" V2_LABELS(
	                  "source", "unknown") ",le=\"0.5\"} 2\n");
	has(&out,
	        "istio_request_duration_milliseconds_bucket" V2_LABELS("source", "unknown") ",le=\"1\"} 4\n");
	has(&out, "istio_request_duration_milliseconds_bucket" V2_LABELS(
	                  "source", "unknown") ",le=\"+Inf\"} 4\n");
	has(&out, "istio_request_duration_milliseconds_count" V2_LABELS("source", "unknown") "} 4\n");
	has(&out, "istio_response_bytes_sum" V2_LABELS("source", "unknown") "} 200\n");
	has(&out, "istio_response_bytes_bucket" V2_LABELS("source", "unknown") ",le=\"50\"} 0\n");
	has(&out, "istio_response_bytes_bucket" V2_LABELS("source", "unknown") ",le=\"100\"} 2\n");
	has(&out, "sluice_cluster_judged_total{cluster=\"c\"} 10\n");
	has(&out,
	        "sluice_split_requests_total{route_config=\"rc\",virtual_host=\"host\",route=\"r\\\"1\",cluster=\"c\"} 4\n");
	has(&out, "sluice_snapshot_epoch 8\n"); /* of the slowest worker */
	sl_buf_clear(&out);
	how.filter = SL_STR("sluice_split");
	sl_stats_prometheus(&how, &out);
	assert_null(strstr(sl_buf_cstr(&out), "istio_"));
	has(&out, "sluice_split_requests_total");
	sl_stats_fini(&a);
	sl_stats_fini(&b);
}

static void unknown_destinations_say_so(void **state)
{
	struct sl_stats a = { 0 };
	const struct sl_stats *readers[] = { &a };
	struct sl_stats_text how = { .workers = readers, .worker_count = 1, .both_reporters = true };
	struct sl_dest_labels labels = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	(void)state;
	SL_STAT_ADD(sl_dest_series(&a, sl_stats_dest(&a, &labels), 404, SL_FLAG_NO_ROUTE)->requests, 1);
	sl_stats_prometheus(&how, &out);
	has(&out, "destination_service=\"unknown\"");
	has(&out, "response_code=\"404\",grpc_response_status=\"\",response_flags=\"NR\"");
	assert_null(strstr(sl_buf_cstr(&out),
	        "reporter=\"destination\"")); /* it reached no destination that could report */
	sl_stats_fini(&a);
}

/* ---- options ---- */

static void options_come_from_flags_environment_and_defaults(void **state)
{
	struct sl_proxy_options o;
	char *argv[] = { (char[]) { "sluice-proxy" }, (char[]) { "--static" }, (char[]) { "mesh.json" },
		(char[]) { "--workers=3" }, (char[]) { "--pin" }, (char[]) { "on" },
		(char[]) { "--buffer-bytes=32Ki" } };

	(void)state;
	setenv("SLUICE_PROXY_DRAIN_TIMEOUT", "2m", 1);
	setenv("SLUICE_PROXY_WORKERS", "7", 1);
	sl_assert_ok(sl_proxy_options_init(&o, NULL));
	assert_int_equal(o.workers, 7);
	sl_assert_ok(sl_proxy_options_parse(&o, (int)SL_ARRAY_COUNT(argv), argv, NULL));
	assert_int_equal(o.workers, 3);
	assert_true(o.pin);
	assert_int_equal(o.buffer_bytes, 32768);
	assert_true(o.drain_timeout == SL_SEC(120));
	assert_string_equal(o.static_file, "mesh.json");
	assert_true(o.idle_timeout == SL_SEC(3600));
	unsetenv("SLUICE_PROXY_DRAIN_TIMEOUT");
	unsetenv("SLUICE_PROXY_WORKERS");
}

static void bad_options_are_refused_by_name(void **state)
{
	static const struct {
		const char *a, *b, *says;
	} cases[] = {
		{ "--wrokers", "3", "--wrokers: is no option" },
		{ "--workers", NULL, "--workers: needs a value: a whole number" },
		{ "--workers", "-1", "--workers: \"-1\" will not do" },
		{ "--workers", "1.5", "--workers: \"1.5\" will not do" },
		{ "--workers", "257", "at most 256" },
		{ "--pin", "yes", "it takes on or off" },
		{ "--head-timeout", "30", "it takes a time" },
		{ "--head-bytes", "70000", "256 to 65535" },
		{ "--head-fields", "129", "1 to 128" },
		{ "--xds", "127.0.0.1:15010", "excludes --xds" },
		{ "static", "x", "static: is no option" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_proxy_options o;
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		char *argv[] = { NULL, (char[]) { "--static=m" }, sl_strdup(cases[i].a),
			cases[i].b ? sl_strdup(cases[i].b) : NULL };

		sl_assert_ok(sl_proxy_options_init(&o, NULL));
		sl_assert_err(sl_proxy_options_parse(&o, cases[i].b ? 4 : 3, argv, &diag), SL_ERR_INVALID);
		if (!strstr(sl_diag_text(&diag), cases[i].says))
			fail_msg("row %zu: %s", i, sl_diag_text(&diag));
		sl_free(argv[2]);
		sl_free(argv[3]);
	}
}

static void help_lists_every_option(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	(void)state;
	sl_proxy_options_help(&out);
#define SL_OPTION(field, flag, kind, def, arg, help) has(&out, "--" flag " " arg);
#include "proxy/options.def"
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_are_summed_with_istios_labels),
		cmocka_unit_test(unknown_destinations_say_so),
		cmocka_unit_test(options_come_from_flags_environment_and_defaults),
		cmocka_unit_test(bad_options_are_refused_by_name),
		cmocka_unit_test(help_lists_every_option),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}

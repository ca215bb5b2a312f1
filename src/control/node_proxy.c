#include "control/node_proxy.h"

#include "base/log.h"
#include "base/buf.h"
#include "os/file.h"
#include "runtime/shim.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RESTART_LEAST SL_MSEC(100)
#define RESTART_MOST SL_SEC(5)
#define LIVED_WELL SL_SEC(30) /* after this the back-off begins anew */

struct sl_node_proxy {
	struct sl_node_proxy_options options;
	struct sl_shim shim;
	struct sl_timer restart;
	sl_nsec back_off;
	uint64_t run; /* number of the shim's folder */
	char *dir;    /* DATA/proxy */
	char *program;
	bool stopping;
	void (*done)(void *arg);
	void *done_arg;
	struct sl_task told;
};

/* ---- ports ---- */

static sl_err port_read(const char *path, const char *name, uint16_t *ret_port)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	sl_str rest, line, word;
	uint64_t port;
	bool more;

	SL_TRY(sl_file_read(path, 4096, &text));
	rest = sl_buf_str(&text);
	do {
		more = sl_str_split(&rest, '\n', &line);
		if (sl_str_split(&line, ' ', &word) && sl_str_eq_c(word, name) &&
		        sl_str_to_u64(line, &port) == SL_OK && port && port <= 65535) {
			*ret_port = (uint16_t)port;
			return SL_OK;
		}
	} while (more);
	return SL_ERR_NOT_FOUND;
}

static sl_err port_keep(const char *path, const char *name, uint16_t port)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	sl_err err = sl_file_read(path, 4096, &text);

	if (err != SL_OK && err != SL_ERR_NOT_FOUND)
		return err;
	sl_buf_printf(&text, "%s %u\n", name, port);
	return sl_file_write(path, sl_buf_str(&text), 0600);
}

sl_err sl_node_port(const char *data_dir, const char *name, struct sl_addr *a, struct sl_diag *diag)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/ports", data_dir);
	struct sl_addr bound;
	uint16_t port;
	sl_err err;
	int fd;

	if (sl_addr_port(a))
		return SL_OK;
	if (port_read(path, name, &port) == SL_OK) {
		sl_addr_set_port(a, port);
		return SL_OK;
	}
	SL_TRY(sl_listen(a, NULL, &fd, diag));
	err = sl_socket_local(fd, &bound);
	sl_fd_close(&fd);
	SL_TRY(err);
	sl_addr_set_port(a, sl_addr_port(&bound));
	err = port_keep(path, name, sl_addr_port(&bound));
	return err == SL_OK ? SL_OK
	                    : sl_diag_fail(diag, err, NULL, NULL, "%s cannot be written: %s", path,
	                              sl_err_text(err));
}

sl_err sl_node_proxy_xds(const char *data_dir, struct sl_addr *ret_a, struct sl_diag *diag)
{
	SL_CLEANUP(sl_free) char *full = realpath(data_dir, NULL);
	SL_CLEANUP(sl_free) char *text = sl_asprintf("unix:%s/xds.sock", full ? full : data_dir);
	sl_err err = sl_addr_parse(ret_a, sl_str_c(text));

	return err == SL_OK ? SL_OK
	                    : sl_diag_fail(diag, err, "--data-dir", NULL,
	                              "\"%s\" is too long for a socket in it; use a shorter path", data_dir);
}

/* ---- the process ---- */

static char *program_of(const char *given)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash, *beside;

	if (given)
		return sl_strdup(given);
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		beside = sl_asprintf("%s/sluice-proxy", self);
		if (access(beside, X_OK) == 0)
			return beside;
		sl_free(beside);
	}
	return sl_strdup("sluice-proxy");
}

static void on_change(struct sl_shim *shim);

static sl_err spawn(struct sl_node_proxy *p, struct sl_diag *diag)
{
	SL_CLEANUP(sl_free) char *run = sl_asprintf("%s/run-%" PRIu64, p->dir, p->run);
	SL_CLEANUP(sl_free) char *state = sl_asprintf("%s/state", p->dir);
	struct sl_addr xds;
	char xds_text[SL_ADDR_TEXT_BYTES], admin[SL_ADDR_TEXT_BYTES], workers[16], node[300],
	        host[256] = "node";
	const char *argv[] = { p->program, "--xds", xds_text, "--node", node, "--state", state, "--admin",
		admin, "--workers", workers, NULL };
	struct sl_shim_config config = { .dir = run, .argv = argv, .env = (const char *const *)environ };

	SL_TRY(sl_node_proxy_xds(p->options.data_dir, &xds, diag));
	sl_addr_format(xds_text, &xds);
	sl_addr_format(admin, &p->options.admin);
	snprintf(workers, sizeof(workers), "%u", p->options.workers);
	gethostname(host, sizeof(host) - 1);
	snprintf(node, sizeof(node), "sidecar~127.0.0.1~%s~local", host);
	return sl_shim_spawn(&p->shim, p->options.loop, &config, on_change, diag);
}

static void remove_run(struct sl_node_proxy *p, uint64_t run)
{
	SL_CLEANUP(sl_free) char *dir = sl_asprintf("%s/run-%" PRIu64, p->dir, run);

	SL_IGNORE(sl_path_remove(dir)); /* what stays is only an old log */
}

static void on_restart(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_node_proxy *p = SL_CONTAINER_OF(timer, struct sl_node_proxy, restart);
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };

	sl_shim_fini(&p->shim);
	p->shim = (struct sl_shim) { 0 };
	if (p->run > 1)
		remove_run(p, p->run - 1); /* the last one's log is kept */
	p->run++;
	if (spawn(p, &diag) == SL_OK)
		return;
	sl_log(SL_LOG_ERROR, "proxy", "cannot be started: %s", sl_diag_text(&diag));
	sl_timer_in(loop, &p->restart, RESTART_MOST);
}

static void on_told(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_node_proxy *p = SL_CONTAINER_OF(task, struct sl_node_proxy, told);

	(void)loop;
	if (p->done)
		p->done(p->done_arg);
}

static void on_change(struct sl_shim *shim)
{
	struct sl_node_proxy *p = SL_CONTAINER_OF(shim, struct sl_node_proxy, shim);

	if (shim->state != SL_SHIM_EXITED) {
		sl_log(SL_LOG_INFO, "proxy", "runs as process %d", (int)shim->pid);
		return;
	}
	if (p->stopping) {
		sl_loop_defer(p->options.loop, &p->told);
		return;
	}
	sl_log(SL_LOG_WARN, "proxy",
	        "ended by itself (%s, exit code %d); starts again. Its log is %s/run-%" PRIu64 "/log",
	        shim->exit.reason, shim->exit.code, p->dir, p->run);
	if (shim->exit.ended_at - shim->exit.started_at > LIVED_WELL)
		p->back_off = 0;
	p->back_off = p->back_off ? p->back_off * 2 : RESTART_LEAST;
	if (p->back_off > RESTART_MOST)
		p->back_off = RESTART_MOST;
	sl_timer_in(p->options.loop, &p->restart, p->back_off);
}

/* The newest run there is; 0: none. */
static uint64_t last_run(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	uint64_t last = 0, n;

	while (d && (e = readdir(d)))
		if (sl_str_starts(sl_str_c(e->d_name), SL_STR("run-")) &&
		        sl_str_to_u64(sl_str_c(e->d_name + 4), &n) == SL_OK && n > last)
			last = n;
	if (d)
		closedir(d);
	return last;
}

static sl_err adopt_or_spawn(struct sl_node_proxy *p, struct sl_diag *diag)
{
	SL_CLEANUP(sl_free) char *run = NULL;

	p->run = last_run(p->dir);
	run = sl_asprintf("%s/run-%" PRIu64, p->dir, p->run);
	if (p->run && sl_shim_adopt(&p->shim, p->options.loop, run, on_change, diag) == SL_OK) {
		if (p->shim.state != SL_SHIM_EXITED) {
			sl_log(SL_LOG_INFO, "proxy", "adopted, process %d", (int)p->shim.pid);
			return SL_OK;
		}
		sl_shim_fini(&p->shim);
		p->shim = (struct sl_shim) { 0 };
	}
	p->run++;
	return spawn(p, diag);
}

sl_err sl_node_proxy_start(
        struct sl_node_proxy **ret_p, const struct sl_node_proxy_options *options, struct sl_diag *diag)
{
	struct sl_node_proxy *p = sl_new0(sizeof(*p));
	sl_err err;

	p->options = *options;
	p->restart.fn = on_restart;
	p->told.fn = on_told;
	p->dir = sl_asprintf("%s/proxy", options->data_dir);
	p->program = program_of(options->program);
	err = sl_dir_make(p->dir, 0700);
	if (err == SL_OK)
		err = adopt_or_spawn(p, diag);
	if (err != SL_OK) {
		sl_node_proxy_free(p);
		return err;
	}
	*ret_p = p;
	return SL_OK;
}

void sl_node_proxy_shutdown(struct sl_node_proxy *p, sl_nsec grace, void (*done)(void *arg), void *arg)
{
	p->stopping = true;
	p->done = done;
	p->done_arg = arg;
	sl_timer_stop(p->options.loop, &p->restart);
	if (p->shim.state == SL_SHIM_EXITED || p->shim.state == SL_SHIM_NONE)
		sl_loop_defer(p->options.loop, &p->told);
	else
		sl_shim_stop(&p->shim, grace);
}

void sl_node_proxy_free(struct sl_node_proxy *p)
{
	if (!p)
		return;
	sl_timer_stop(p->options.loop, &p->restart);
	sl_task_cancel(p->options.loop, &p->told);
	sl_shim_fini(&p->shim);
	sl_free(p->dir);
	sl_free(p->program);
	sl_free(p);
}

/*
 * Service addresses: every Service gets a loopback address of its own, 127.64.0.0/10, on which the proxy listens with the Service's
 * ports. The first candidate follows from the data directory's seed and the Service's name, so that a Service deleted and made again has
 * its old address, and two sluiced on one machine rarely meet; where they do, the probe by bind() moves on.
 */
#include "control/objects_priv.h"
#include "model/object.h"
#include "os/file.h"
#include "os/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BASE = 0x7f400000, /* 127.64.0.0 */
	SPAN = 1 << 22,    /* /10 */
	PROBES_MOST = 64,
};

sl_err sl_service_seed(const char *data_dir, uint64_t *ret_seed, struct sl_diag *diag)
{
	uint64_t seed = 0;
	sl_random_bytes(&seed, sizeof(seed));
	if (!data_dir) {
		*ret_seed = seed;
		return SL_OK;
	}
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/address-seed", data_dir);
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	sl_err err = sl_file_read(path, 64, &text);
	if (err == SL_OK) {
		char *end = NULL;
		*ret_seed = strtoull(sl_buf_cstr(&text), &end, 16);
		return sl_buf_size(&text) == 17 && *end == '\n'
		               ? SL_OK
		               : sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		                         "%s: not what sluiced wrote there; remove it to get new Service addresses",
		                         path);
	}
	if (err != SL_ERR_NOT_FOUND)
		return sl_diag_fail(diag, err, NULL, NULL, "%s: %s", path, sl_err_text(err));
	sl_buf_printf(&text, "%016" PRIx64 "\n", seed);
	err = sl_file_write(path, sl_buf_str(&text), 0600);
	if (err != SL_OK)
		return sl_diag_fail(diag, err, NULL, NULL, "%s: %s", path, sl_err_text(err));
	*ret_seed = seed;
	return SL_OK;
}

/* --- is an address free? --- */

struct taken {
	sl_str address;
	const json_t *self_uid;
	bool yes;
};

static bool check_taken(void *arg, struct sl_object *o)
{
	struct taken *t = arg;
	t->yes = sl_str_eq(sl_obj_get_str(o->body, "spec.clusterIP"), t->address) &&
	         !json_equal(sl_obj_get(o->body, "metadata.uid"), t->self_uid);
	return !t->yes;
}

static bool is_taken(struct sl_objects *os, const json_t *body, sl_str address)
{
	struct taken t = { .address = address, .self_uid = sl_obj_get(body, "metadata.uid") };
	sl_store_each_latest(os->store, SL_STR(""), SL_STR("services"), SL_STR_NONE, check_taken, &t);
	return t.yes;
}

/* False only when somebody else holds the address and port: a port we may not bind says nothing about the address. */
static bool can_bind(uint32_t address, uint16_t port, bool udp)
{
	int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0)
		return true;
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)
	};
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	bool ok = bind(fd, (const struct sockaddr *)&in, sizeof(in)) == 0 || errno != EADDRINUSE;
	close(fd);
	return ok;
}

static bool ports_free(const json_t *body, uint32_t address)
{
	size_t i;
	json_t *port;
	json_array_foreach (sl_obj_get(body, "spec.ports"), i, port) {
		int64_t number = sl_obj_get_int(port, "port", 0);
		bool udp = sl_str_eq_c(sl_obj_get_str(port, "protocol"), "UDP");
		if (number > 0 && number <= 65535 && !can_bind(address, (uint16_t)number, udp))
			return false;
	}
	return true;
}

/* --- choosing --- */

static const char *address_text(char dst[INET_ADDRSTRLEN], uint32_t address)
{
	struct in_addr in = { .s_addr = htonl(address) };
	return inet_ntop(AF_INET, &in, dst, INET_ADDRSTRLEN);
}

static uint32_t candidate(const struct sl_objects *os, const json_t *body, uint32_t attempt)
{
	uint64_t hash = sl_str_hash(sl_obj_namespace(body), os->address_seed);
	hash = sl_str_hash(sl_obj_name(body), hash);
	uint32_t at = (uint32_t)((hash + (uint64_t)attempt * 0x9e3779b1u) % SPAN);
	if ((at & 0xff) == 0 || (at & 0xff) == 0xff)
		at ^= 0x55; /* nobody expects a service on .0 or .255 */
	return BASE + at;
}

static void allocate(struct sl_objects *os, json_t *body, struct sl_diag *warnings)
{
	char text[INET_ADDRSTRLEN], first[INET_ADDRSTRLEN] = "";
	for (uint32_t attempt = 0; attempt < PROBES_MOST; attempt++) {
		uint32_t address = candidate(os, body, attempt);
		if (is_taken(os, body, sl_str_c(address_text(text, address))))
			continue;
		if (first[0] == '\0')
			sl_str_copy(first, sizeof(first), sl_str_c(text));
		if (!ports_free(body, address))
			continue;
		sl_obj_set(body, "spec.clusterIP", json_string(text));
		return;
	}
	sl_diag_add(warnings, "spec.ports", NULL,
	        "a port is in use on every loopback address (something listens on 0.0.0.0): the Service cannot be reached "
	        "until that stops, or the port is changed");
	sl_obj_set(body, "spec.clusterIP", json_string(first));
}

static sl_err check_given(struct sl_objects *os, const json_t *body, sl_str given, struct sl_diag *diag)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr in;
	sl_str_copy(text, sizeof(text), given);
	uint32_t address = inet_pton(AF_INET, text, &in) == 1 ? ntohl(in.s_addr) : 0;
	if (given.len >= sizeof(text) || address < BASE || address >= BASE + SPAN)
		return sl_diag_fail(diag, SL_ERR_INVALID, "spec.clusterIP", "FieldValueInvalid",
		        "\"%.*s\" is not in 127.64.0.0/10, where Services of sluice live: leave the field out to be given an "
		        "address, or set \"None\"",
		        SL_STR_ARG(given));
	if (is_taken(os, body, given))
		return sl_diag_fail(diag, SL_ERR_INVALID, "spec.clusterIP", "FieldValueInvalid",
		        "%.*s is another Service's address: leave the field out to be given one",
		        SL_STR_ARG(given));
	return SL_OK;
}

sl_err sl_service_admit(struct sl_objects *os, const json_t *old, json_t *body, struct sl_diag *warnings,
        struct sl_diag *diag)
{
	json_t *spec = json_object_get(body, "spec");
	if (!json_is_object(spec) || sl_str_eq_c(sl_obj_get_str(spec, "type"), "ExternalName"))
		return SL_OK;
	sl_str given = sl_obj_get_str(spec, "clusterIP"), before = sl_obj_get_str(old, "spec.clusterIP");
	if (given.len == 0 && before.len)
		json_object_set_new(spec, "clusterIP", sl_json_from_str(before));
	else if (given.len == 0)
		allocate(os, body, warnings);
	else if (!sl_str_eq(given, before) && !sl_str_eq_c(given, "None"))
		SL_TRY(check_given(os, body, given, diag));
	json_object_set_new(spec, "clusterIPs", json_pack("[O]", json_object_get(spec, "clusterIP")));
	return SL_OK;
}

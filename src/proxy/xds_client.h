#pragma once
/*
 * The proxy's connection to its control plane: takes in resources over ADS, hands over whole meshes, acknowledges each epoch once it is
 * in force, reports load over LRS, and keeps the last good mesh on disk to start from when the control plane is absent.
 *
 * on_mesh gets a mesh that is complete and checked. The proxy compiles it, publishes it to its workers, and calls
 * sl_xds_client_applied once all of them use it (or it cannot be used); only then is the epoch acknowledged (or refused). One mesh is
 * under way at a time; what arrives meanwhile is handed over next.
 *
 * Ownership: the object is the caller's to free.
 * Threads: one loop; callbacks come in it. sl_xds_client_applied belongs to that loop too: a worker posts a message.
 */
#include "loop/loop.h"
#include "model/mesh.h"
#include "net/tls.h"
#include "os/socket.h"
#include "xds/lrs.h"

struct sl_xds_client;

struct sl_xds_client_ops {
	/*
	 * A new mesh to bring in force; a reference is yours to take. Answer by sl_xds_client_applied, now or later. An error refuses it at
	 * once, with the text of `diag`, and no answer is due.
	 */
	sl_err (*on_mesh)(void *user, struct sl_mesh *mesh, uint64_t epoch, struct sl_diag *diag);
	/* Fill in what was counted since the last call, from the arena; false when there is nothing to report. May be NULL: no reports. */
	bool (*on_load)(void *user, struct sl_arena *arena, const struct sl_load_wish *wish,
	        struct sl_load_report *report);
	/* The control plane was reached, or lost. May be NULL. */
	void (*on_state)(void *user, bool connected, const char *why);
};

struct sl_xds_client_config {
	struct sl_addr server;
	struct sl_tls_ctx *tls;          /* NULL: h2c */
	const char *server_name;         /* to verify by TLS; NULL: none */
	const char *node;                /* node id; required */
	const char *cluster;             /* node cluster; NULL: none */
	const char *state_dir;           /* where the last good mesh is kept; NULL: nowhere */
	sl_nsec retry_least, retry_most; /* back-off between connects, with jitter; 0: 50 ms, 5 s */
	const struct sl_xds_client_ops *ops;
	void *user;
};

/*
 * Loads DIR/mesh.json, when there is one, and hands it to on_mesh before returning (a bad one is reported to the log and passed over);
 * then begins to connect. Errors: SL_ERR_FORBIDDEN, SL_ERR_IO (the state folder cannot be made).
 */
sl_err sl_xds_client_new(struct sl_xds_client **ret_client, struct sl_loop *loop,
        const struct sl_xds_client_config *config, struct sl_diag *diag);
void sl_xds_client_free(struct sl_xds_client *client); /* NULL is fine; not from within a callback */

/* The mesh of that epoch is in force on all workers (SL_OK), or will not be (`text` says why). Others than the one under way are ignored. */
void sl_xds_client_applied(struct sl_xds_client *client, uint64_t epoch, sl_err err, const char *text);

struct sl_xds_client_status {
	bool connected;
	bool from_disk;       /* what is in force came from the state folder */
	uint64_t epoch;       /* in force; 0: none */
	uint64_t connects;    /* that reached the server, since the start */
	uint64_t acks, nacks; /* sent */
	uint64_t reports;     /* load reports sent */
};
void sl_xds_client_read(const struct sl_xds_client *client, struct sl_xds_client_status *ret_status);

/* Reads a mesh from a JSON file (model/mesh_json.h): static mode. Errors: as sl_file_read and sl_mesh_parse. */
sl_err sl_xds_mesh_load(const char *path, struct sl_mesh **ret_mesh, struct sl_diag *diag);

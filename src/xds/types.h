#pragma once
/*
 * The resource types that go over ADS, in the order they are pushed: what is referred to before what refers to it.
 * Ownership: values.       Threads: any.
 */
#include "base/str.h"

enum sl_xds_type {
	SL_XDS_CLUSTER,      /* CDS */
	SL_XDS_ENDPOINTS,    /* EDS */
	SL_XDS_LISTENER,     /* LDS */
	SL_XDS_ROUTE_CONFIG, /* RDS */
	SL_XDS_EPOCH,        /* sluice.v1.Epoch: ends an epoch */
	SL_XDS_TYPE_COUNT
};

/* "type.googleapis.com/envoy.config.cluster.v3.Cluster", ... */
sl_str sl_xds_type_url(enum sl_xds_type type);
/* "CDS", ... */
const char *sl_xds_type_name(enum sl_xds_type type);
/* SL_XDS_TYPE_COUNT where it is none of ours. */
enum sl_xds_type sl_xds_type_of(sl_str url);

/* What our servers begin control_plane.identifier with; their EDS and RDS know "*", all resources of the type. */
#define SL_XDS_SERVER_IDENTITY "sluiced"
/* Our proxies' user_agent_name; they await the epoch mark. */
#define SL_XDS_CLIENT_AGENT "sluice-proxy"
#define SL_XDS_WILDCARD SL_STR("*")

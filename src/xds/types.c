#include "xds/types.h"

#include <assert.h>

static const struct {
	sl_str url;
	const char *name;
} types[] = {
	/* clang-format off */
	[SL_XDS_CLUSTER]      = { SL_STR("type.googleapis.com/envoy.config.cluster.v3.Cluster"),                "CDS" },
	[SL_XDS_ENDPOINTS]    = { SL_STR("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"), "EDS" },
	[SL_XDS_LISTENER]     = { SL_STR("type.googleapis.com/envoy.config.listener.v3.Listener"),              "LDS" },
	[SL_XDS_ROUTE_CONFIG] = { SL_STR("type.googleapis.com/envoy.config.route.v3.RouteConfiguration"),       "RDS" },
	[SL_XDS_EPOCH]        = { SL_STR("type.googleapis.com/sluice.v1.Epoch"),                                "Epoch" },
	/* clang-format on */
};
static_assert(sizeof(types) / sizeof(types[0]) == SL_XDS_TYPE_COUNT, "a row for each type");

sl_str sl_xds_type_url(enum sl_xds_type type)
{
	return types[type].url;
}

const char *sl_xds_type_name(enum sl_xds_type type)
{
	return types[type].name;
}

enum sl_xds_type sl_xds_type_of(sl_str url)
{
	for (int i = 0; i < SL_XDS_TYPE_COUNT; i++)
		if (sl_str_eq(types[i].url, url))
			return (enum sl_xds_type)i;
	return SL_XDS_TYPE_COUNT;
}

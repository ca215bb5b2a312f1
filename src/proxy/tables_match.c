#include "proxy/tables.h"

#include "proto/uri.h"

enum { JOINED_BYTES_MOST = 4096, HOST_BYTES_MOST = 262 /* a name of 255 and ":65535" */ };

/* ---- texts ---- */

static bool starts_nocase(sl_str s, sl_str prefix)
{
	return s.len >= prefix.len && sl_str_eq_nocase(sl_str_first(s, prefix.len), prefix);
}

static bool contains_nocase(sl_str s, sl_str part)
{
	for (size_t at = 0; at + part.len <= s.len; at++)
		if (sl_str_eq_nocase(sl_str_n(s.p + at, part.len), part))
			return true;
	return part.len == 0;
}

static bool text_holds(
        const struct sl_mesh_match *m, const struct sl_regex *re, struct sl_regex_scratch *scratch, sl_str s)
{
	switch (m->kind) {
	case SL_MATCH_EXACT:
		return m->ignore_case ? sl_str_eq_nocase(s, m->value) : sl_str_eq(s, m->value);
	case SL_MATCH_PREFIX:
		return m->ignore_case ? starts_nocase(s, m->value) : sl_str_starts(s, m->value);
	case SL_MATCH_SUFFIX:
		return m->ignore_case
		               ? s.len >= m->value.len &&
		                         sl_str_eq_nocase(sl_str_skip(s, s.len - m->value.len), m->value)
		               : sl_str_ends(s, m->value);
	case SL_MATCH_CONTAINS:
		return m->ignore_case ? contains_nocase(s, m->value) : sl_str_contains(s, m->value);
	case SL_MATCH_REGEX:
		return re && sl_regex_match(re, scratch, s);
	case SL_MATCH_PRESENT:
		return true;
	}
	return false;
}

/* ---- header fields ---- */

/* All values of a field as one, joined by commas (RFC 9110 section 5.3); `room` holds a joined one. */
static bool field_value(
        const struct sl_route_request *rq, sl_str name, char room[JOINED_BYTES_MOST], sl_str *ret_value)
{
	const struct sl_http1_head *h = rq->head;
	size_t i = sl_http1_find(h, rq->bytes, name, 0), len = 0;
	sl_str value;

	if (i == h->field_count)
		return false;
	value = sl_http1_value(h, rq->bytes, i);
	i = sl_http1_find(h, rq->bytes, name, i + 1);
	if (SL_LIKELY(i == h->field_count)) {
		*ret_value = value;
		return true;
	}
	for (;;) {
		size_t n = value.len < JOINED_BYTES_MOST - len ? value.len : JOINED_BYTES_MOST - len;

		memcpy(room + len, value.p, n);
		len += n;
		if (i == h->field_count || len == JOINED_BYTES_MOST)
			break;
		room[len++] = ',';
		value = sl_http1_value(h, rq->bytes, i);
		i = sl_http1_find(h, rq->bytes, name, i + 1);
	}
	*ret_value = sl_str_n(room, len);
	return true;
}

static bool header_holds(
        const struct sl_mesh_field_match *m, const struct sl_regex *re, const struct sl_route_request *rq)
{
	char room[JOINED_BYTES_MOST];
	sl_str value = SL_STR_NONE;
	bool present = true;

	if (m->name.len && m->name.p[0] == ':') {
		if (sl_str_eq(m->name, SL_STR(":method")))
			value = rq->method;
		else if (sl_str_eq(m->name, SL_STR(":authority")))
			value = rq->authority;
		else if (sl_str_eq(m->name, SL_STR(":scheme")))
			value = rq->scheme;
		else if (sl_str_eq(m->name, SL_STR(":path")))
			value = rq->path;
		else
			present = false;
	} else {
		present = field_value(rq, m->name, room, &value);
	}
	return (present && text_holds(&m->match, re, rq->scratch, value)) != m->match.invert;
}

static bool param_holds(
        const struct sl_mesh_field_match *m, const struct sl_regex *re, const struct sl_route_request *rq)
{
	sl_str value = SL_STR_NONE;
	bool present = sl_query_get(rq->query, m->name, &value) == SL_OK;

	return (present && text_holds(&m->match, re, rq->scratch, value)) != m->match.invert;
}

/* ---- routes ---- */

static bool path_holds(const struct sl_table_route *r, const struct sl_route_request *rq)
{
	const struct sl_mesh_route_match *m = &r->mesh->match;
	sl_str path = rq->path;

	switch (m->path_kind) {
	case SL_PATH_PREFIX:
		return m->path_ignore_case ? starts_nocase(path, m->path) : sl_str_starts(path, m->path);
	case SL_PATH_EXACT:
		return m->path_ignore_case ? sl_str_eq_nocase(path, m->path) : sl_str_eq(path, m->path);
	case SL_PATH_REGEX:
		return sl_regex_match(r->path, rq->scratch, path);
	case SL_PATH_SEPARATED_PREFIX: {
		sl_str prefix = m->path;

		if (prefix.len && prefix.p[prefix.len - 1] == '/')
			prefix.len--; /* "/a/" means "/a" (Gateway API) */
		if (!(m->path_ignore_case ? starts_nocase(path, prefix) : sl_str_starts(path, prefix)))
			return false;
		return path.len == prefix.len || path.p[prefix.len] == '/';
	}
	}
	return false;
}

static bool conditions_hold(const struct sl_table_route *r, const struct sl_route_request *rq)
{
	const struct sl_mesh_route_match *m = &r->mesh->match;

	for (size_t i = 0; i < m->header_count; i++)
		if (!header_holds(&m->headers[i], r->header_regex ? r->header_regex[i] : NULL, rq))
			return false;
	for (size_t i = 0; i < m->param_count; i++)
		if (!param_holds(&m->params[i], r->param_regex ? r->param_regex[i] : NULL, rq))
			return false;
	return true;
}

static bool route_holds(const struct sl_table_route *r, const struct sl_route_request *rq)
{
	return r->any || (path_holds(r, rq) && conditions_hold(r, rq));
}

const struct sl_table_route *sl_tables_route_scan(
        const struct sl_table_host *host, const struct sl_route_request *rq)
{
	for (uint32_t i = 0; i < host->route_count; i++)
		if (route_holds(&host->routes[i], rq))
			return &host->routes[i];
	return NULL;
}

/* The longest prefix of the table that `path` begins with, or NULL. */
static const struct sl_table_prefix *prefix_find(const struct sl_table_host *host, sl_str path)
{
	uint32_t low = 0, high = host->prefix_count, at;

	while (low < high) { /* first prefix that sorts behind path */
		uint32_t mid = low + (high - low) / 2;

		if (sl_str_cmp(host->prefixes[mid].text, path) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	/* Whatever sorts between a prefix of path and path begins with that prefix, so it is this one or one of its parents. */
	for (at = low ? low - 1 : SL_TABLE_NONE; at != SL_TABLE_NONE; at = host->prefixes[at].parent)
		if (sl_str_starts(path, host->prefixes[at].text))
			return &host->prefixes[at];
	return NULL;
}

const struct sl_table_route *sl_tables_route(
        const struct sl_table_host *host, const struct sl_route_request *rq)
{
	struct {
		const uint32_t *at, *end;
	} lists[3];
	size_t count = 0;
	const struct sl_table_prefix *prefix;
	struct sl_map_node *node;

	if (!host->indexed)
		return sl_tables_route_scan(host, rq);
	node = sl_map_get(&host->exact, rq->path);
	if (node) {
		const struct sl_table_exact *e = SL_MAP_ENTRY(node, struct sl_table_exact, node);

		lists[count].at = e->routes;
		lists[count++].end = e->routes + e->count;
	}
	prefix = prefix_find(host, rq->path);
	if (prefix) {
		lists[count].at = prefix->routes;
		lists[count++].end = prefix->routes + prefix->count;
	}
	lists[count].at = host->others;
	lists[count++].end = host->others + host->other_count;

	for (;;) { /* smallest index first over the three ascending lists */
		size_t first = count;

		for (size_t i = 0; i < count; i++)
			if (lists[i].at != lists[i].end &&
			        (first == count || *lists[i].at < *lists[first].at))
				first = i;
		if (first == count)
			return NULL;
		if (route_holds(&host->routes[*lists[first].at], rq))
			return &host->routes[*lists[first].at];
		lists[first].at++;
	}
}

/* ---- hosts ---- */

static const struct sl_table_host *domain_get(const struct sl_map *map, sl_str key)
{
	struct sl_map_node *node = sl_map_get(map, key);

	return node ? SL_MAP_ENTRY(node, struct sl_table_domain, node)->host : NULL;
}

static const struct sl_table_host *suffix_get(const struct sl_table_config *config, sl_str name)
{
	for (uint32_t i = 0; i < config->suffix_length_count; i++) {
		uint32_t len = config->suffix_lengths[i];
		const struct sl_table_host *host;

		if (len >= name.len) /* the "*" stands for at least one byte */
			continue;
		host = domain_get(&config->suffixes, sl_str_skip(name, name.len - len));
		if (host)
			return host;
	}
	return NULL;
}

const struct sl_table_host *sl_tables_host(const struct sl_table_config *config, sl_str authority)
{
	const struct sl_table_host *host;
	char lower[HOST_BYTES_MOST];
	sl_str full, name;
	size_t colon = SIZE_MAX;

	if (authority.len > sizeof(lower))
		return config->any;
	for (size_t i = 0; i < authority.len; i++) {
		char c = authority.p[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		if (c == ':')
			colon = i;
		else if (c == ']')
			colon = SIZE_MAX; /* colons so far were an IPv6 address */
	}
	full = name = sl_str_n(lower, authority.len);
	if (colon != SIZE_MAX)
		name.len = colon;
	host = domain_get(&config->exact, full);
	if (!host && name.len != full.len)
		host = domain_get(&config->exact, name);
	if (!host && config->suffix_length_count) {
		host = suffix_get(config, full);
		if (!host && name.len != full.len)
			host = suffix_get(config, name);
	}
	return host ? host : config->any;
}

/* ---- rewrites ---- */

static void add_query(const struct sl_route_request *rq, struct sl_buf *out)
{
	if (!rq->query.p)
		return;
	sl_buf_byte(out, '?');
	sl_buf_str_add(out, rq->query);
}

void sl_tables_rewrite_path(
        const struct sl_table_route *route, const struct sl_route_request *rq, struct sl_buf *out)
{
	const struct sl_mesh_route_match *m = &route->mesh->match;
	sl_str with = route->mesh->rewrite.prefix, rest;

	if (route->mesh->action == SL_ROUTE_REDIRECT)
		with = route->mesh->redirect.prefix;
	if (route->rewrite) {
		sl_regex_replace(
		        route->rewrite, rq->scratch, rq->path, route->mesh->rewrite.substitution, out);
	} else if (!with.len) {
		sl_buf_str_add(out, rq->path);
	} else if (m->path_kind == SL_PATH_EXACT || m->path_kind == SL_PATH_REGEX) {
		sl_buf_str_add(out, with);
	} else {
		rest = sl_str_skip(rq->path, m->path.len);
		if (m->path_kind == SL_PATH_SEPARATED_PREFIX) { /* exactly one slash between the two parts */
			while (with.len && with.p[with.len - 1] == '/')
				with.len--;
			if (m->path.len && m->path.p[m->path.len - 1] == '/')
				rest = sl_str_skip(rq->path, m->path.len - 1);
			if (!with.len && !rest.len)
				with = SL_STR("/");
		}
		sl_buf_str_add(out, with);
		sl_buf_str_add(out, rest);
	}
	add_query(rq, out);
}

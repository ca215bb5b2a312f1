/*
 * Writes the openapi.v2.Document message of gnostic (googleapis/gnostic openapiv2/OpenAPIv2.proto, named in each enum below) by hand:
 * a dozen messages of a protocol whose generated code would be nine thousand lines.
 */
#include "model/openapi.h"

#include "model/kind.h"

/* A message is built in a buffer of its own and then added to its parent, since its length goes first. */

static void put_varint(struct sl_buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		sl_buf_byte(out, (char)(v | 0x80));
	sl_buf_byte(out, (char)v);
}

static void put_bytes(struct sl_buf *out, unsigned field, sl_str s)
{
	put_varint(out, field << 3 | 2);
	put_varint(out, s.len);
	sl_buf_str_add(out, s);
}

static void put_c(struct sl_buf *out, unsigned field, const char *s)
{
	if (s)
		put_bytes(out, field, sl_str_c(s));
}

/* Adds `message` to `out` and empties it. */
static void put_message(struct sl_buf *out, unsigned field, struct sl_buf *message)
{
	put_bytes(out, field, sl_buf_str(message));
	sl_buf_fini(message);
}

static void put_double(struct sl_buf *out, unsigned field, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_varint(out, field << 3 | 1);
	for (int i = 0; i < 8; i++)
		sl_buf_byte(out, (char)(bits >> (8 * i)));
}

enum { DOC_SWAGGER = 1, DOC_INFO = 2, DOC_PATHS = 8, DOC_DEFINITIONS = 9 };
enum { INFO_TITLE = 1, INFO_VERSION = 2 };
enum { PATHS_PATH = 2 };
enum { NAMED_NAME = 1, NAMED_VALUE = 2 }; /* NamedPathItem, NamedSchema, NamedAny, NamedResponseValue */
enum { PATH_ITEM_PATCH = 8 };
enum { OPERATION_PARAMETERS = 8, OPERATION_RESPONSES = 9, OPERATION_EXTENSION = 13 };
enum { PARAMETERS_ITEM_PARAMETER = 1, PARAMETER_NON_BODY = 2, NON_BODY_QUERY = 3 };
enum { QUERY_IN = 2, QUERY_DESCRIPTION = 3, QUERY_NAME = 4, QUERY_TYPE = 6 };
enum { RESPONSES_CODE = 1, RESPONSE_VALUE_RESPONSE = 1, RESPONSE_DESCRIPTION = 1 };
enum { DEFINITIONS_PROPERTY = 1, PROPERTIES_PROPERTY = 1 };
enum { ANY_YAML = 2 };
enum {
	SCHEMA_REF = 1,
	SCHEMA_FORMAT = 2,
	SCHEMA_DESCRIPTION = 4,
	SCHEMA_MAXIMUM = 7,
	SCHEMA_MINIMUM = 9,
	SCHEMA_REQUIRED = 19,
	SCHEMA_ENUM = 20,
	SCHEMA_ADDITIONAL = 21,
	SCHEMA_TYPE = 22,
	SCHEMA_ITEMS = 23,
	SCHEMA_PROPERTIES = 25,
	SCHEMA_EXTENSION = 31,
};
enum { TYPE_VALUE = 1, ITEMS_SCHEMA = 1, ADDITIONAL_SCHEMA = 1 };

static void put_extension(struct sl_buf *out, unsigned field, const char *name, const char *yaml)
{
	struct sl_buf any = { 0 }, named = { 0 };

	put_c(&any, ANY_YAML, yaml);
	put_c(&named, NAMED_NAME, name);
	put_message(&named, NAMED_VALUE, &any);
	put_message(out, field, &named);
}

static void put_type(struct sl_buf *schema, const char *type)
{
	struct sl_buf item = { 0 };

	put_c(&item, TYPE_VALUE, type);
	put_message(schema, SCHEMA_TYPE, &item);
}

static void put_ref(struct sl_buf *schema, const struct sl_schema_type *type)
{
	struct sl_buf ref = { 0 };

	sl_buf_printf(&ref, "#/definitions/%s", type->openapi);
	put_message(schema, SCHEMA_REF, &ref);
}

/* The schema of one value: of the field itself, or of an element. */
static void put_value_schema(struct sl_buf *schema, const struct sl_schema_field *f)
{
	static const struct {
		const char *type, *format;
	} forms[] = {
		[SL_BASE_STRING] = { "string", NULL },
		[SL_BASE_BOOL] = { "boolean", NULL },
		[SL_BASE_INT] = { "integer", "int32" },
		[SL_BASE_NUMBER] = { "number", "double" },
		[SL_BASE_INTSTR] = { "string", "int-or-string" },
		[SL_BASE_QUANTITY] = { "string", NULL },
		[SL_BASE_DURATION] = { "string", NULL },
		[SL_BASE_TIME] = { "string", "date-time" },
		[SL_BASE_BYTES] = { "string", "byte" },
		[SL_BASE_ANY] = { NULL, NULL },
		[SL_BASE_TYPE] = { NULL, NULL },
	};

	if (f->base == SL_BASE_TYPE)
		put_ref(schema, f->type);
	put_c(schema, SCHEMA_FORMAT, f->flags & SL_FIELD_INT64 ? "int64" : forms[f->base].format);
	if (forms[f->base].type)
		put_type(schema, forms[f->base].type);
}

static void put_enum(struct sl_buf *schema, const char *enums)
{
	sl_str rest = sl_str_c(enums), word;
	bool more = true;

	while (more) {
		struct sl_buf any = { 0 };

		more = sl_str_split(&rest, '|', &word);
		put_bytes(&any, ANY_YAML, word);
		put_message(schema, SCHEMA_ENUM, &any);
	}
}

static void put_rules(struct sl_buf *schema, const struct sl_schema_field *f)
{
	const struct sl_schema_rules *r = f->rules;

	if (r && r->enums && f->shape == SL_SHAPE_ONE)
		put_enum(schema, r->enums);
	if (r && f->shape == SL_SHAPE_ONE && (f->base == SL_BASE_INT || f->base == SL_BASE_NUMBER)) {
		if (r->min != INT64_MIN)
			put_double(schema, SCHEMA_MINIMUM, (double)r->min);
		if (r->max != INT64_MAX)
			put_double(schema, SCHEMA_MAXIMUM, (double)r->max);
	}
	if (r && r->merge_key)
		put_extension(schema, SCHEMA_EXTENSION, "x-kubernetes-patch-merge-key", r->merge_key);
	if (f->flags & SL_FIELD_MERGE)
		put_extension(schema, SCHEMA_EXTENSION, "x-kubernetes-patch-strategy",
		        f->flags & SL_FIELD_RETAIN_KEYS ? "merge,retainKeys" : "merge");
	else if (f->flags & SL_FIELD_RETAIN_KEYS)
		put_extension(schema, SCHEMA_EXTENSION, "x-kubernetes-patch-strategy", "retainKeys");
}

/* What `kubectl explain` shows: the sentence of the schema, and whether the field is acted on. */
static void put_description(struct sl_buf *schema, const struct sl_schema_field *f)
{
	if (!(f->flags & SL_FIELD_HONOURED))
		put_c(schema, SCHEMA_DESCRIPTION, "Stored, not acted on yet.");
	else
		put_c(schema, SCHEMA_DESCRIPTION, f->doc);
}

static void put_field(struct sl_buf *properties, const struct sl_schema_field *f)
{
	struct sl_buf named = { 0 }, schema = { 0 }, value = { 0 }, wrap = { 0 };

	put_description(&schema, f);
	put_value_schema(f->shape == SL_SHAPE_ONE ? &schema : &value, f);
	if (f->shape == SL_SHAPE_LIST) {
		put_type(&schema, "array");
		put_message(&wrap, ITEMS_SCHEMA, &value);
		put_message(&schema, SCHEMA_ITEMS, &wrap);
	} else if (f->shape == SL_SHAPE_MAP) {
		put_type(&schema, "object");
		put_message(&wrap, ADDITIONAL_SCHEMA, &value);
		put_message(&schema, SCHEMA_ADDITIONAL, &wrap);
	}
	put_rules(&schema, f);
	put_c(&named, NAMED_NAME, f->name);
	put_message(&named, NAMED_VALUE, &schema);
	put_message(properties, PROPERTIES_PROPERTY, &named);
}

/* {"group":"apps","kind":"Deployment","version":"v1"}: JSON is YAML */
static void gvk_yaml(struct sl_buf *out, const struct sl_kind *kind, const char *version)
{
	sl_buf_printf(out, "{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}", kind->group, kind->kind,
	        version);
}

/* Which kinds the definition is of; nothing for types inside kinds. */
static void put_kinds_of(struct sl_buf *schema, const struct sl_schema_type *type)
{
	struct sl_buf yaml = { 0 };

	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		const struct sl_kind *kind = &sl_kind_table[i];

		for (const char *const *v = kind->versions; kind->type == type && *v; v++) {
			sl_buf_c(&yaml, sl_buf_size(&yaml) ? "," : "[");
			gvk_yaml(&yaml, kind, *v);
		}
	}
	if (sl_buf_size(&yaml)) {
		sl_buf_c(&yaml, "]");
		put_extension(
		        schema, SCHEMA_EXTENSION, "x-kubernetes-group-version-kind", sl_buf_cstr(&yaml));
	}
	sl_buf_fini(&yaml);
}

static void put_definition(struct sl_buf *definitions, const struct sl_schema_type *type)
{
	struct sl_buf named = { 0 }, schema = { 0 }, properties = { 0 };

	put_c(&schema, SCHEMA_DESCRIPTION, type->doc);
	put_type(&schema, "object");
	for (size_t i = 0; i < type->fields_count; i++) {
		if (type->fields[i].flags & SL_FIELD_REQUIRED)
			put_c(&schema, SCHEMA_REQUIRED, type->fields[i].name);
		put_field(&properties, &type->fields[i]);
	}
	put_message(&schema, SCHEMA_PROPERTIES, &properties);
	put_kinds_of(&schema, type);
	if (type->is_open)
		put_extension(&schema, SCHEMA_EXTENSION, "x-kubernetes-preserve-unknown-fields", "true");
	put_c(&named, NAMED_NAME, type->openapi);
	put_message(&named, NAMED_VALUE, &schema);
	put_message(definitions, DEFINITIONS_PROPERTY, &named);
}

static void put_query_parameter(struct sl_buf *operation, const char *name, const char *doc)
{
	struct sl_buf query = { 0 }, non_body = { 0 }, parameter = { 0 }, item = { 0 };

	put_c(&query, QUERY_IN, "query");
	put_c(&query, QUERY_DESCRIPTION, doc);
	put_c(&query, QUERY_NAME, name);
	put_c(&query, QUERY_TYPE, "string");
	put_message(&non_body, NON_BODY_QUERY, &query);
	put_message(&parameter, PARAMETER_NON_BODY, &non_body);
	put_message(&item, PARAMETERS_ITEM_PARAMETER, &parameter);
	put_message(operation, OPERATION_PARAMETERS, &item);
}

/* The PATCH operation of a kind: from its parameters kubectl learns whether the server does dry runs and strict validation. */
static void put_path(struct sl_buf *paths, const struct sl_kind *kind, const char *version)
{
	struct sl_buf named = { 0 }, name = { 0 }, item = { 0 }, operation = { 0 }, yaml = { 0 };
	struct sl_buf response = { 0 }, value = { 0 }, code = { 0 }, responses = { 0 };

	put_query_parameter(&operation, "dryRun", "All: everything but the change itself.");
	put_query_parameter(
	        &operation, "fieldValidation", "Strict, Warn or Ignore: what happens on unknown fields.");
	put_c(&response, RESPONSE_DESCRIPTION, "OK");
	put_message(&value, RESPONSE_VALUE_RESPONSE, &response);
	put_c(&code, NAMED_NAME, "200");
	put_message(&code, NAMED_VALUE, &value);
	put_message(&responses, RESPONSES_CODE, &code);
	put_message(&operation, OPERATION_RESPONSES, &responses);
	gvk_yaml(&yaml, kind, version);
	put_extension(&operation, OPERATION_EXTENSION, "x-kubernetes-group-version-kind", sl_buf_cstr(&yaml));
	sl_buf_fini(&yaml);
	put_message(&item, PATH_ITEM_PATCH, &operation);

	sl_buf_printf(&name, "%s%s/%s/%s%s/{name}", kind->group[0] ? "/apis/" : "/api", kind->group, version,
	        kind->namespaced ? "namespaces/{namespace}/" : "", kind->plural);
	put_message(&named, NAMED_NAME, &name);
	put_message(&named, NAMED_VALUE, &item);
	put_message(paths, PATHS_PATH, &named);
}

void sl_openapi_v2(struct sl_buf *out)
{
	struct sl_buf info = { 0 }, paths = { 0 }, definitions = { 0 };

	put_c(out, DOC_SWAGGER, "2.0");
	put_c(&info, INFO_TITLE, "sluice");
	put_c(&info, INFO_VERSION, SL_VERSION);
	put_message(out, DOC_INFO, &info);
	for (size_t i = 0; i < SL_KIND_COUNT; i++)
		for (const char *const *v = sl_kind_table[i].versions; *v; v++)
			put_path(&paths, &sl_kind_table[i], *v);
	put_message(out, DOC_PATHS, &paths);
	for (size_t i = 0; i < sl_schema_types_count; i++)
		put_definition(&definitions, &sl_schema_types[i]);
	put_message(out, DOC_DEFINITIONS, &definitions);
}

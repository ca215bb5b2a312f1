#include "cli/manifests.h"

#include "os/file.h"
#include "proto/json.h"
#include "proto/yaml.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MOST = 64 << 20 };

struct reading {
	json_t *documents, *names;
};

static sl_err read_stdin(struct sl_buf *text)
{
	size_t n;

	while ((n = fread(sl_buf_reserve(text, 65536), 1, 65536, stdin)) > 0) {
		sl_buf_commit(text, n);
		if (sl_buf_size(text) > FILE_BYTES_MOST)
			return SL_ERR_TOO_BIG;
	}
	return SL_OK;
}

static void add(struct reading *r, json_t *document, const char *name)
{
	json_t *items = sl_json_array(document, "items");

	if (items && sl_str_ends(sl_json_get_str(document, "kind"), SL_STR("List"))) {
		SL_JSON_FOR (item, items)
			add(r, item, name);
		return;
	}
	json_array_append(r->documents, document);
	json_array_append_new(r->names, json_string(name));
}

static sl_err read_one(struct reading *r, const char *name)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
	bool from_stdin = strcmp(name, "-") == 0;
	sl_err err = from_stdin ? read_stdin(&text) : sl_file_read(name, FILE_BYTES_MOST, &text);

	if (err == SL_OK)
		err = sl_yaml_parse(sl_buf_str(&text), NULL, &documents, &diag);
	if (err != SL_OK) {
		sl_cli_fail("%s: %s", from_stdin ? "standard input" : name,
		        diag.count ? sl_diag_text(&diag) : sl_err_text(err));
		return err;
	}
	SL_JSON_FOR (document, documents)
		add(r, document, name);
	return SL_OK;
}

static int is_manifest(const struct dirent *e)
{
	sl_str name = sl_str_c(e->d_name);

	return e->d_name[0] != '.' &&
	       (sl_str_ends(name, SL_STR(".yaml")) || sl_str_ends(name, SL_STR(".yml")) ||
	               sl_str_ends(name, SL_STR(".json")));
}

static sl_err read_folder(struct reading *r, const char *name)
{
	struct dirent **entries = NULL;
	int count = scandir(name, &entries, is_manifest, alphasort);
	sl_err err = SL_OK;

	for (int i = 0; i < count; i++) {
		char *path = sl_asprintf("%s/%s", name, entries[i]->d_name);

		if (err == SL_OK)
			err = read_one(r, path);
		sl_free(path);
		free(entries[i]); /* scandir's allocator */
	}
	free(entries);
	if (count <= 0) {
		sl_cli_fail("%s: no *.yaml, *.yml or *.json in this folder", name);
		return SL_ERR_NOT_FOUND;
	}
	return err;
}

sl_err sl_manifests_read(const struct sl_cli *cli, json_t **ret_documents, json_t **ret_names)
{
	SL_CLEANUP(sl_json_unref) json_t *documents = json_array();
	SL_CLEANUP(sl_json_unref) json_t *names = json_array();
	struct reading r = { documents, names };
	struct stat st;

	for (size_t i = 0; i < cli->file_count; i++) {
		if (stat(cli->files[i], &st) == 0 && S_ISDIR(st.st_mode))
			SL_TRY(read_folder(&r, cli->files[i]));
		else
			SL_TRY(read_one(&r, cli->files[i]));
	}
	if (!json_array_size(documents)) {
		sl_cli_fail("no manifest given; name files by -f");
		return SL_ERR_NOT_FOUND;
	}
	*ret_documents = SL_STEAL(documents);
	*ret_names = SL_STEAL(names);
	return SL_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "collectors/kernel_btf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/btf.h>

/* Where KVM's types can be; what is built in has no file of its own. */
static const char *const files[] = {"vmlinux", "kvm", "kvm_amd", "kvm_intel"};
enum { FILES = sizeof(files) / sizeof(files[0]) };

struct kernel_btf {
	struct btf *btf[FILES]; /* each but the first one on top of the first; may be NULL */
};

struct kernel_btf *kernel_btf_open(const char *sys)
{
	struct kernel_btf *btf = calloc(1, sizeof(*btf));

	if (!btf)
		return NULL;
	for (size_t i = 0; i < FILES; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/kernel/btf/%s", sys, files[i]);
		btf->btf[i] = btf__parse_split(path, btf->btf[0]);
		if (!btf->btf[0]) {
			int error = errno;

			kernel_btf_close(btf);
			errno = error;
			return NULL;
		}
	}
	return btf;
}

void kernel_btf_close(struct kernel_btf *btf)
{
	if (!btf)
		return;
	for (size_t i = FILES; i-- > 0;)
		btf__free(btf->btf[i]);
	free(btf);
}

/* The id of what is called so, and in which file; 0: nothing is. */
static __u32 find(const struct kernel_btf *btf, const char *name, __u32 kind,
		  const struct btf **ret_in)
{
	for (size_t i = 0; i < FILES; i++) {
		__s32 id = btf->btf[i] ? btf__find_by_name_kind(btf->btf[i], name, kind) : 0;

		if (id > 0) {
			*ret_in = btf->btf[i];
			return (__u32)id;
		}
	}
	return 0;
}

bool kernel_btf_has_struct(const struct kernel_btf *btf, const char *name, const char *member)
{
	const struct btf_type *type;
	const struct btf *in;
	__u32 id = find(btf, name, BTF_KIND_STRUCT, &in);

	if (!id || !member)
		return id > 0;
	type = btf__type_by_id(in, id);
	for (__u32 i = 0; i < btf_vlen(type); i++) {
		if (!strcmp(btf__name_by_offset(in, btf_members(type)[i].name_off), member))
			return true;
	}
	return false;
}

/* A tracepoint NAME has a typedef btf_trace_NAME of a pointer to void (*)(void *, ARGUMENTS). */
bool kernel_btf_has_tracepoint(const struct kernel_btf *btf, const char *name, const char *first)
{
	const struct btf_type *type;
	const struct btf *in;
	char typedef_name[128];
	__u32 id;

	snprintf(typedef_name, sizeof(typedef_name), "btf_trace_%s", name);
	id = find(btf, typedef_name, BTF_KIND_TYPEDEF, &in);
	if (!id)
		return false;
	if (!first)
		return true;
	type = btf__type_by_id(in, btf__type_by_id(in, id)->type);
	if (!type || !btf_is_ptr(type))
		return false;
	type = btf__type_by_id(in, type->type);
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) < 2)
		return false;
	type = btf__type_by_id(in, btf_params(type)[1].type);
	if (!type || !btf_is_ptr(type))
		return false;
	type = btf__type_by_id(in, type->type);
	return type && (btf_is_struct(type) || btf_is_fwd(type)) &&
	       strcmp(btf__name_by_offset(in, type->name_off), first) == 0;
}

struct extract {
	struct btf *to;
	const struct btf *from;
	__s32 *copies; /* by the id in from; 0: not copied yet */
};

static __s32 copy_type(struct extract *extract, __u32 id);

static __s32 copy_composite(struct extract *extract, const struct btf_type *type)
{
	const struct btf_member *members = btf_members(type);
	const char *name = btf__name_by_offset(extract->from, type->name_off);
	__s32 copy;

	/* What members are comes first: their own members must follow a struct at once. */
	for (__u32 i = 0; i < btf_vlen(type); i++) {
		copy = copy_type(extract, members[i].type);
		if (copy < 0)
			return copy;
	}
	copy = btf_is_union(type) ? btf__add_union(extract->to, name, type->size)
				  : btf__add_struct(extract->to, name, type->size);
	for (__u32 i = 0; i < btf_vlen(type) && copy > 0; i++) {
		int error = btf__add_field(
			extract->to, btf__name_by_offset(extract->from, members[i].name_off),
			copy_type(extract, members[i].type), btf_member_bit_offset(type, i),
			btf_member_bitfield_size(type, i));

		if (error)
			return error;
	}
	return copy;
}

static __s32 copy_array(struct extract *extract, const struct btf_type *type)
{
	__s32 element = copy_type(extract, btf_array(type)->type);
	__s32 index = element < 0 ? element : copy_type(extract, btf_array(type)->index_type);

	return index < 0 ? index
			 : btf__add_array(extract->to, index, element,
					  (__u32)btf_array(type)->nelems);
}

/* Its id in the copy, or a negative errno. By value nothing contains itself. */
static __s32 copy_type(struct extract *extract, __u32 id)
{
	const struct btf_type *type;
	__s32 copy;

	while ((type = btf__type_by_id(extract->from, id)) &&
	       (btf_is_mod(type) || btf_is_typedef(type) || btf_is_type_tag(type)))
		id = type->type;
	if (!type)
		return -EINVAL;
	if (extract->copies[id])
		return extract->copies[id];
	switch (btf_kind(type)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: copy = copy_composite(extract, type); break;
	case BTF_KIND_ARRAY: copy = copy_array(extract, type); break;
	case BTF_KIND_PTR: copy = btf__add_ptr(extract->to, 0); break;
	case BTF_KIND_FLOAT: copy = btf__add_float(extract->to, "float", type->size); break;
	case BTF_KIND_INT:
		copy = btf__add_int(extract->to, "int", type->size, btf_int_encoding(type));
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: copy = btf__add_int(extract->to, "int", type->size, 0); break;
	default: copy = -EINVAL; /* not by value */
	}
	extract->copies[id] = copy > 0 ? copy : 0;
	return copy;
}

static int copy_struct(struct btf *to, const struct btf *from, __u32 id)
{
	struct extract extract = {.to = to, .from = from};
	__s32 copy;

	extract.copies = calloc(btf__type_cnt(from), sizeof(*extract.copies));
	if (!extract.copies)
		return -ENOMEM;
	copy = copy_type(&extract, id);
	free(extract.copies);
	return copy < 0 ? copy : 0;
}

static int write_all(const void *data, size_t size)
{
	int fd = memfd_create("kernel-btf", MFD_CLOEXEC), error;

	if (fd < 0)
		return -1;
	for (size_t done = 0; done < size;) {
		ssize_t written = write(fd, (const char *)data + done, size - done);

		if (written < 0) {
			error = errno;
			close(fd);
			errno = error;
			return -1;
		}
		done += (size_t)written;
	}
	return fd;
}

/* Copies the struct of the kernel that is called as type @id of @wanted, if there is one. */
static int copy_wanted(struct btf *to, const struct kernel_btf *btf, const struct btf *wanted,
		       __u32 id)
{
	const struct btf_type *type = btf__type_by_id(wanted, id);
	const char *name = btf__name_by_offset(wanted, type->name_off), *flavour;
	const struct btf *from;
	char plain[128];

	if (!btf_is_struct(type) || !*name)
		return 0;
	flavour = strstr(name, "___");
	snprintf(plain, sizeof(plain), "%.*s", flavour ? (int)(flavour - name) : 127, name);
	id = find(btf, plain, BTF_KIND_STRUCT, &from);
	/* Another flavour may have brought it. */
	if (!id || btf__find_by_name_kind(to, plain, BTF_KIND_STRUCT) > 0)
		return 0;
	return copy_struct(to, from, id);
}

int kernel_btf_extract(const struct kernel_btf *btf, const struct btf *wanted)
{
	struct btf *to = btf__new_empty();
	const void *data;
	int error = 0, fd;
	__u32 size;

	if (!to)
		return -1;
	for (__u32 id = 1; id < btf__type_cnt(wanted) && !error; id++)
		error = copy_wanted(to, btf, wanted, id);
	data = error ? NULL : btf__raw_data(to, &size);
	if (!data && !error)
		error = -ENOMEM;
	fd = error ? -1 : write_all(data, size);
	if (!error && fd < 0)
		error = -errno;
	btf__free(to);
	errno = -error;
	return fd;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "daemon/privileges.h"

/* In the order of preference; umbrad is none of the first. */
static const char *const users[] = {"umbra-collect", "umbra", "nobody"};
enum { USERS_OF_COLLECT = 0, USERS_OF_UMBRAD = 1 };

static int fail(const char *what, struct umbra_error *ret_error)
{
	int code = errno ? -errno : -EPERM;

	return umbra_error_set(ret_error, code, "privileges", what, "%s", strerror(-code));
}

static const struct passwd *find_user(size_t first)
{
	for (size_t i = first; i < sizeof(users) / sizeof(users[0]); i++) {
		const struct passwd *user = getpwnam(users[i]);

		if (user)
			return user;
	}
	return NULL;
}

static bool is_member(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; *member; member++) {
		if (!strcmp(*member, user))
			return true;
	}
	return false;
}

/*
 * The groups first: who is no longer root cannot choose any. The group umbra, if there is one, is
 * who may connect to umbrad; in the group kvm, who may use /dev/kvm, the user stays who is in it.
 */
static int become(const struct passwd *user, bool in_group, struct umbra_error *ret_error)
{
	const struct group *group = in_group ? getgrnam("umbra") : NULL;
	gid_t groups[2];
	size_t nr = 0;

	if (group)
		groups[nr++] = group->gr_gid;
	group = in_group ? getgrnam("kvm") : NULL;
	if (group && is_member(group, user->pw_name))
		groups[nr++] = group->gr_gid;
	if (setgroups(nr, groups))
		return fail("setgroups", ret_error);
	if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid))
		return fail("setresgid", ret_error);
	if (setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
		return fail("setresuid", ret_error);
	return 0;
}

/* A service manager may have given some to a user that is not root. */
static int drop_capabilities(struct umbra_error *ret_error)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return fail("ambient capabilities", ret_error);
	if (syscall(SYS_capset, &header, none))
		return fail("capset", ret_error);
	return 0;
}

/* Trust no call that said it succeeded. */
static int check_that_root_is_gone(struct umbra_error *ret_error)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	uid_t real, effective, saved;
	bool none = !syscall(SYS_capget, &header, data);

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none = none && !data[i].effective && !data[i].permitted && !data[i].inheritable;
	if (!none)
		return umbra_error_set(ret_error, -EPERM, "privileges", "capget",
				       "capabilities are left");
	if (getresuid(&real, &effective, &saved) || !real || !effective || !saved || !setuid(0) ||
	    !seteuid(0))
		return umbra_error_set(ret_error, -EPERM, "privileges", "getresuid",
				       "the process is still root, or can become root again");
	return 0;
}

/* Who is root becomes the first user that there is. 0 or a negative errno. */
static int stop_being_root(size_t first, const char *who, struct umbra_error *ret_error)
{
	uid_t real, effective, saved;
	const struct passwd *user;

	if (getresuid(&real, &effective, &saved))
		return fail("getresuid", ret_error);
	if (real && effective && saved)
		return 0;
	user = find_user(first);
	if (!user)
		return umbra_error_set(ret_error, -ENOENT, "privileges", "user",
				       "%s does not run as root, and there is neither a user %s "
				       "nor a user nobody",
				       who, users[first]);
	if (!user->pw_uid)
		return umbra_error_set(ret_error, -EPERM, "privileges", "user",
				       "%s does not run as root, but the user %s is root", who,
				       user->pw_name);
	return become(user, first == USERS_OF_COLLECT, ret_error);
}

int privileges_drop(struct umbra_error *ret_error)
{
	int code = stop_being_root(USERS_OF_UMBRAD, "umbrad", ret_error);

	if (!code)
		code = drop_capabilities(ret_error);
	if (!code)
		code = check_that_root_is_gone(ret_error);
	if (!code && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		code = fail("no_new_privs", ret_error);
	if (!code && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		code = fail("dumpable", ret_error);
	return code;
}

/* What collectors need, where the kernel or a service manager gave it. */
static const unsigned int collecting[] = {
	CAP_BPF,             /* kvm_exits: loads programs and maps */
	CAP_PERFMON,         /* kvm_exits attaches them; perf_event counts other users' threads */
	CAP_SYS_PTRACE,      /* discovery, kvm: descriptors of other users' processes */
	CAP_DAC_READ_SEARCH, /* debugfs and tracefs are root's */
};

int privileges_limit(struct umbra_error *ret_error)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = {0};
	struct __user_cap_data_struct keep[_LINUX_CAPABILITY_U32S_3] = {0};

	int code;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return fail("keep capabilities", ret_error);
	code = stop_being_root(USERS_OF_COLLECT, "umbra-collect", ret_error);
	if (code)
		return code;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return fail("ambient capabilities", ret_error);
	if (syscall(SYS_capget, &header, has))
		return fail("capget", ret_error);
	for (size_t i = 0; i < sizeof(collecting) / sizeof(collecting[0]); i++) {
		unsigned int word = CAP_TO_INDEX(collecting[i]);

		keep[word].permitted |= has[word].permitted & CAP_TO_MASK(collecting[i]);
		keep[word].effective = keep[word].permitted;
	}
	if (syscall(SYS_capset, &header, keep))
		return fail("capset", ret_error);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail("no_new_privs", ret_error);
	return 0;
}

void privileges_explain(struct umbra_error *error)
{
	const struct passwd *user;
	size_t length = strlen(error->text);

	if (error->code != -EACCES && error->code != -EPERM)
		return;
	user = getpwuid(geteuid());
	if (user)
		snprintf(error->text + length, sizeof(error->text) - length, " to the user %.40s",
			 user->pw_name);
	else
		snprintf(error->text + length, sizeof(error->text) - length, " to the user %ld",
			 (long)geteuid());
}

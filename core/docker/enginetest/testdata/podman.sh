# Runs Podman for a test until standard input ends, then removes all that it made.
# It is the first process of a PID and of a mount namespace: what it does not end, ends with it.
# $1: the folder for everything, with containers.conf. $2: the name of the bridge. $3: a user, for a rootless Podman.
set -u
mount -t tmpfs none /run # Podman's and netavark's own state

if [ -n "$3" ]; then
	mkdir -p /dev/net && mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200
	for f in subuid subgid; do
		echo "$3:100000:65536" >"$1/$f"
		touch "/etc/$f" && mount --bind "$1/$f" "/etc/$f"
	done
	chown -R "$3" "$1"
	set -- "$1" "$2" setpriv "--reuid=$3" "--regid=$(id -g "$3")" --clear-groups env "HOME=$1" "XDG_RUNTIME_DIR=$1"
else
	set -- "$1" "$2" env
fi
dir=$1 bridge=$2
shift 2
"$@" podman --storage-driver vfs --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --network-config-dir "$dir/networks" \
	system service -t 0 "unix://$dir/podman.sock" </dev/null &

cat >/dev/null # until the test ends

kill -9 -1
wait
ip link delete "$bridge" 2>/dev/null
find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' -exec rmdir {} \; 2>/dev/null # those without a process
grep -o " $dir/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l
rm -rf "$dir"
exit 0

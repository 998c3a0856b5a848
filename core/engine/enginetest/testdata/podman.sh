# Runs Podman for a test until standard input ends, then removes all that it made.
# It is the first process of a PID and of a mount namespace: what it does not end, ends with it.
# $1: the folder for everything, with containers.conf. $2: the name of the bridge.
set -u
mount -t tmpfs none /run # Podman's and netavark's own state

# shellcheck disable=SC2016
podman --storage-driver vfs --root "$1/root" --runroot "$1/run" --tmpdir "$1/tmp" --network-config-dir "$1/networks" \
	system service -t 0 "unix://$1/podman.sock" </dev/null &

cat >/dev/null # until the test ends

kill -9 -1
wait
ip link delete "$2" 2>/dev/null
find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' -exec rmdir {} \; 2>/dev/null # those without a process
grep -o " $1/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l
rm -rf "$1"
exit 0

package docker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"daemon-proxy/core/ssh"
)

// settings are the places where the engine's address may be set.
const settings = "docker.host, DOCKER_HOST or the docker context"

// diagnose returns the cause of a failed connection and the next step.
func (end endpoint) diagnose(opts Options, err error) (why, hint string) {
	if failed, ok := errors.AsType[*ssh.Error](err); ok {
		return failed.Error(), end.ssh.hintOf(failed)
	}
	if refused, ok := errors.AsType[*socketError](err); ok {
		return refused.Error(), refused.hint()
	}
	if why, hint := end.diagnoseTLS(err); why != "" {
		return why, hint
	}
	if path, ok := strings.CutPrefix(end.host, "unix://"); ok {
		if why, hint := diagnoseSocket(opts, path, err); why != "" {
			return why, hint
		}
	}
	if d, ok := errors.AsType[*dialError](err); ok {
		err = d.cause // the errors around it are net.Errors too, without a cause
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case isDNS:
		return fmt.Sprintf("the name %s is not known", dns.Name), "check the host name in " + settings
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return "it took too long", "check that the machine is up, that a firewall lets you through " +
			"and that the engine is not overloaded: docker version"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", "start the engine there, or correct " + settings
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to it", "check the network (VPN?) and the address in " + settings
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "it hung up", "see the engine's log; if it wants TLS, set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
	case end.tls == nil && errdefs.IsInvalidArgument(err):
		// Go's TLS servers answer 400 to plain HTTP.
		return "it refused a plain request",
			"if it wants TLS, set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH; check that the port is the engine's"
	}
	return err.Error(), "check that the address is the engine's: docker version"
}

// diagnoseTLS is diagnose for TLS; "" for other errors.
func (end endpoint) diagnoseTLS(err error) (why, hint string) {
	if end.tls == nil {
		return "", ""
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("its certificate is not trusted: %v", bad.Err),
			"check ca.pem in DOCKER_CERT_PATH (or in the docker context), and that the host name is the certificate's"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "it does not speak TLS", "unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or use the engine's TLS port (2376)"
	}
	// An alert of the other side: https://pkg.go.dev/crypto/tls#AlertError
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return fmt.Sprintf("it refused our certificate: %v", op.Err),
			"check cert.pem and key.pem in DOCKER_CERT_PATH (or in the docker context)"
	}
	return "", ""
}

// diagnoseSocket is diagnose for a Unix socket; "" for other errors.
func diagnoseSocket(opts Options, path string, err error) (why, hint string) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("you may not use the socket %s", path),
			"add yourself to the group docker: sudo usermod -aG docker $USER, then log in again (newgrp docker works at once)"
	case errors.Is(err, syscall.ECONNREFUSED):
		if others := found(opts, path); len(others) > 0 {
			return "nothing listens on its socket", chooseHint(others)
		}
		return "nothing listens on its socket; the engine is not running", startHint()
	case !errors.Is(err, fs.ErrNotExist):
		return "", ""
	}
	if others := found(opts, path); len(others) > 0 {
		return "there is no socket " + path, chooseHint(others)
	}
	_, noCLI := opts.LookPath("docker")
	_, noEngine := opts.LookPath("dockerd")
	if _, noPodman := opts.LookPath("podman"); noEngine != nil && noPodman == nil && runtime.GOOS == "linux" {
		return fmt.Sprintf("there is no socket %s; Podman is installed, but its socket is not there", path),
			"start it: systemctl --user enable --now podman.socket"
	}
	if noCLI != nil && noEngine != nil {
		return fmt.Sprintf("there is no socket %s and no docker program; Docker is not installed", path),
			"install it: https://docs.docker.com/engine/install/ (or run in host mode, which needs no Docker)"
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Sprintf("the folder of the socket %s does not exist", path), "check the path in " + settings
	}
	return fmt.Sprintf("there is no socket %s; the engine is not running", path), startHint()
}

// chooseHint names engines that run here, and how to choose one.
func chooseHint(engines []endpoint) string {
	words := make([]string, len(engines))
	for i, end := range engines {
		words[i] = fmt.Sprintf("%s (%s)", end.name, end.host)
	}
	return "these engines run here: " + strings.Join(words, ", ") +
		"; use one with --docker-context " + engines[0].name + ", or with docker.context in the configuration"
}

func startHint() string {
	if runtime.GOOS == "linux" {
		return "start it: sudo systemctl start docker"
	}
	return "start Docker Desktop (or the program that runs your engine)"
}

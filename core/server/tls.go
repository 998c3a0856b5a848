package server

import (
	"crypto/tls"
	"errors"

	"daemon-proxy/core/preview"
)

var errOtherName = errors.New("the client asks for a name that is not served")

// certificate is the certificate for a handshake. Names that are not served
// get none, so that our authority never signs a certificate for a foreign
// name. Plain requests go over HTTP/2 where the client can; upgrades, which
// HTTP/2 as served here does not have, make browsers open an HTTP/1.1
// connection.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if name := hello.ServerName; name != "" && !s.knownHost(plainName(name), "") {
		if _, ok := preview.SplitHost(name, s.o.Config.Server.PreviewDomain); !ok {
			return nil, errOtherName // and not which: it may hold a token
		}
	}
	return s.o.Certificate(hello)
}

package ports

import (
	"regexp"
	"strconv"
	"strings"

	"daemon-proxy/core/api"
)

// desktopLabel names the port of a container's desktop, and its page: "6901",
// "8080/guacamole/". It is for images whose desktop is not recognised, or which
// have several.
const desktopLabel = "daemon-proxy.desktop"

// desktopWord is the label of a port in a devcontainer that has a desktop there, as
// in https://github.com/devcontainers/features/tree/main/src/desktop-lite.
var desktopWord = regexp.MustCompile(`(?i)^(desktop|vnc|novnc)\b`)

// desktopAt is what the label says; the zero value: nothing.
type desktopAt struct {
	port int
	path string
}

// readDesktop parses the label; one that is invalid is ignored, as it is the
// container's and may hold anything.
func readDesktop(label string) desktopAt {
	if len(label) > longestLabel {
		return desktopAt{}
	}
	number, path, more := strings.Cut(label, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return desktopAt{}
	}
	if more {
		path = oneLine("/" + path)
	}
	return desktopAt{int(port), path}
}

// complete adds to a card what the label says about its port.
func (d desktopAt) complete(card *api.PortCard) {
	if d.port == 0 || card.Port.Port != d.port || card.Service == "daemon" {
		return
	}
	card.Chosen = true
	if card.Desktop == "" {
		card.Desktop = "desktop"
	}
	if d.path != "" {
		card.Path = d.path
	}
}

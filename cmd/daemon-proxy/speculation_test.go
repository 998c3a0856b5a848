package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hint is a way to make the browser request something without a click.
type hint struct {
	name string
	// ask makes a page, or its header, that asks for targets in their order.
	ask func(targets ...string) (header, body string)
}

// inBody is a hint that a text makes, once for each target.
func inBody(name, format string) hint {
	return hint{name, func(targets ...string) (_, body string) {
		for _, target := range targets {
			body += strings.ReplaceAll(format, "{to}", target)
		}
		return "", body
	}}
}

// inHeader is a hint that a header makes, whose values are put in one list.
func inHeader(name, header, format string) hint {
	return hint{name, func(targets ...string) (_, _ string) {
		var values []string
		for _, target := range targets {
			values = append(values, strings.ReplaceAll(format, "{to}", target))
		}
		return header + ": " + strings.Join(values, ", "), "text"
	}}
}

// rules are speculation rules of that kind, which are taken in their order.
func rules(kind string, targets ...string) string {
	return fmt.Sprintf(`{%q: [{"source": "list", "urls": ["%s"], "eagerness": "immediate"}]}`, kind, strings.Join(targets, `", "`))
}

func inRules(name, kind, format string) hint {
	return hint{name, func(targets ...string) (_, body string) {
		return "", strings.ReplaceAll(format, "{rules}", rules(kind, targets...))
	}}
}

// speculations are the hints that were seen to send a request from a page without a policy.
func speculations() []hint {
	const inline = `<script type="speculationrules">{rules}</script>`
	const made = `<script>{
		const script = document.createElement("script");
		script.type = "speculationrules";
		script.textContent = '{rules}';
		document.head.append(script);
	}</script>`
	return []hint{
		inRules("prefetch", "prefetch", inline), inRules("prerender", "prerender", inline), inRules("made", "prefetch", made),
		{"redirected", func(targets ...string) (_, body string) {
			targets[0] = "leave?to=" + url.QueryEscape(targets[0])
			return "", strings.ReplaceAll(inline, "{rules}", rules("prefetch", targets...))
		}},
		{"ruleFile", func(targets ...string) (header, _ string) {
			file := url.Values{"type": {"application/speculationrules+json"}, "body": {rules("prefetch", targets...)}}
			return `Speculation-Rules: "written?` + file.Encode() + `"`, `<img src="` + targets[len(targets)-1] + `">`
		}},
		inBody("link", `<link rel="prefetch" href="{to}">`),
		inBody("linkDocument", `<link rel="prefetch" as="document" href="{to}">`),
		inBody("preload", `<link rel="preload" as="image" href="{to}">`),
		inBody("module", `<link rel="modulepreload" href="{to}">`),
		inBody("dictionary", `<link rel="compression-dictionary" href="{to}">`),
		inHeader("linkHeader", "Link", `<{to}>; rel=prefetch`), inHeader("preloadHeader", "Link", `<{to}>; rel=preload; as=image`),
		inBody("ping", `<a href="#x" ping="{to}">x</a><script>document.links[document.links.length - 1].click()</script>`),
		inBody("later", `<script>fetchLater("{to}", {activateAfter: 0})</script>`),
		inBody("worklet", `<script>CSS.paintWorklet.addModule("{to}").catch(() => {})</script>`),
		inBody("import", `<script>import(new URL("{to}", document.baseURI)).catch(() => {})</script>`),
		inBody("object", `<object data="{to}"></object>`),
		inBody("font", `<style>@font-face { font-family: "{to}"; src: url("{to}") }</style><p style="font-family: '{to}'">x</p>`),
	}
}

// What a browser requests before it is needed belongs to no page that a policy
// could be on. Each hint names the neighbour first and then the page's own
// service, which tells that the browser has come to it.
func TestB7AFencedPageCannotSpeculate(t *testing.T) {
	b := newBrowser(t)
	s := newScene(t, "PREVIEW_FENCE=true")
	token, openPath, openHost := s.link(`{"port": 3000, "sandbox": "` + s.hostile + `", "fence": false}`)
	defer s.expect(200, "", "DELETE", "/api/preview/"+token, "")
	port, seen := attacker(t)
	// hinted opens a page with a hint until both its own service and, without
	// a fence, the neighbour are asked: Chromium drops what it prefetches when
	// an address of the machine comes or goes, as containers do.
	hinted := func(base, from string, h hint, fenced bool) {
		own := from + "-" + h.name
		header, body := h.ask("http://localhost:"+port+"/"+own, own)
		page := url.Values{"type": {"text/html"}, "body": {"<!doctype html><head></head><body>" + body}, "header": {header}}
		if header == "" {
			page.Del("header")
		}
		asked := func() bool {
			return strings.Contains(s.seen(), "/"+own+`"`) && (fenced || strings.Contains(seen(), "/"+own))
		}
		for began := time.Now(); ; {
			b.open(base + "/written?" + page.Encode())
			if within(hintWithin, asked) {
				return
			}
			require.Less(t, time.Since(began), startsWithin, "%s: the page's own service saw %s\nthe neighbour saw %s", own, s.seen(), seen())
		}
	}
	fenced := map[string]string{"host": s.hostileHost, "path": s.url + "/preview/" + s.hostileToken}
	open := map[string]string{"host": openHost, "path": openPath}
	// Path mode leaves a cookie on localhost, and Chromium prefetches from
	// another site only where it has none: so host mode comes first.
	for _, mode := range []string{"host", "path"} {
		for _, h := range speculations() {
			hinted(open[mode], "open-"+mode, h, false)
			hinted(fenced[mode], "fenced-"+mode, h, true)
		}
		s.leaves(b, fenced[mode], "http://localhost:"+port+"/fenced-navigation", "chrome-error:")
		s.leaves(b, fenced[mode], open[mode]+"/sibling", open[mode])
	}
	require.NotContains(t, seen(), "fenced")
}

// hintWithin is how long a hint is waited for before its page is opened again.
const hintWithin = 10 * time.Second

// within reports whether ok becomes true in time.
func within(limit time.Duration, ok func() bool) bool {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < limit; <-tick.C {
		if ok() {
			return true
		}
	}
	return ok()
}

// leaves has a page send its tab elsewhere, and expects where that ends.
func (s *scene) leaves(b *browser, page, to, want string) {
	s.t.Helper()
	b.open(page + "/")
	eval[any](b, `void (location.href = "`+to+`")`)
	b.until("the tab is at "+want, `location.href.startsWith("`+want+`")`)
}

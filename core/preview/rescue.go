package preview

// PathToken is the token in a URL of a preview in path mode: one under
// origin, the "scheme://host" of the front as the browser has it. Whether
// there is such a link only Links.Resolve knows.
func PathToken(url, origin string) (token string, ok bool) {
	at, rest := cutOrigin(url)
	if at == "" || !sameOrigin(at, origin) {
		return "", false
	}
	route, err := SplitPath(slashed(rest))
	return route.Token, err == nil && route.Kind == KindPreview
}

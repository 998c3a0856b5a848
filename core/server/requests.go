package server

import (
	"io"
	"strconv"

	"daemon-proxy/core/api"
)

func (m management) listRequests(v *visit, _ values) error {
	query, limit := v.r.URL.Query(), 0
	if text := query.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return api.NewProblem(api.CodeBadRequest, "limit must be a positive integer",
				"omit it to get all that are kept")
		}
	}
	list, err := m.o.Service.Exchanges(v.r.Context(), query.Get("filter"), limit)
	if err != nil {
		return err
	}
	reply(v.w, api.ExchangeList{Requests: list})
	return nil
}

func (m management) rates(v *visit, _ values) error {
	rates, err := m.o.Service.Rates(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, rates)
	return nil
}

// archive answers with what the filter matches as an HTTP archive.
func (m management) archive(v *visit, _ values) error {
	archive, err := m.o.Service.HAR(v.r.Context(), v.r.URL.Query().Get("filter"))
	if err != nil {
		return err
	}
	setOwn(v.w.Header())
	v.w.Header().Set("Content-Type", "application/json")
	_, _ = v.w.Write(archive) // a client that has gone needs none
	return nil
}

// requestID is the {id} of a path; 0, which no request has, if it is no number.
func requestID(path values) uint64 {
	id, err := strconv.ParseUint(path["id"], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func (m management) oneRequest(v *visit, path values) error {
	detail, err := m.o.Service.Exchange(v.r.Context(), requestID(path))
	if err != nil {
		return err
	}
	reply(v.w, detail)
	return nil
}

func (m management) bodies(v *visit, path values) error {
	request, response, err := m.o.Service.Bodies(v.r.Context(), requestID(path))
	if err != nil {
		return err
	}
	reply(v.w, api.Bodies{Request: request, Response: response})
	return nil
}

// curl answers with the command for the address under which the client reaches
// the server.
func (m management) curl(v *visit, path values) error {
	command, err := m.Curl(requestID(path), m.base(v))
	if err != nil {
		return err
	}
	setOwn(v.w.Header())
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(v.w, command) // a client that has gone needs none
	return nil
}

func (m management) replay(v *visit, path values) error {
	recorded, err := m.o.Service.Replay(v.r.Context(), requestID(path))
	if err != nil {
		return err
	}
	reply(v.w, recorded)
	return nil
}

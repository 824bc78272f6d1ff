// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// gkeDryRun is a label of a dry run: GKE does not keep the parameters of requests.
const gkeDryRun = "command.gke.io/dryRun"

// logEntry is what is read of an entry of Cloud Logging, with an audit log of GKE:
// https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry,
// https://docs.cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog and
// https://docs.cloud.google.com/kubernetes-engine/docs/how-to/audit-logging
type logEntry struct {
	InsertID  string            `json:"insertId"`
	Timestamp time.Time         `json:"timestamp"`
	Labels    map[string]string `json:"labels"`
	Operation struct {
		First bool `json:"first"`
		Last  bool `json:"last"`
	} `json:"operation"`
	ProtoPayload struct {
		ServiceName        string `json:"serviceName"`
		MethodName         string `json:"methodName"`   // such as io.k8s.core.v1.nodes.status.patch
		ResourceName       string `json:"resourceName"` // such as core/v1/nodes/a/status
		AuthenticationInfo struct {
			PrincipalEmail string `json:"principalEmail"` // of any user
		} `json:"authenticationInfo"`
		RequestMetadata struct {
			UserAgent string `json:"callerSuppliedUserAgent"`
		} `json:"requestMetadata"`
		Status   *rpcStatus     `json:"status"`
		Request  jsontext.Value `json:"request"`
		Response jsontext.Value `json:"response"`
	} `json:"protoPayload"`
}

type rpcStatus struct {
	Code    int32  `json:"code"`
	Message string `json:"message"`
}

// openGKE reads an entry of Cloud Logging.
func (s *source) openGKE(data []byte) error {
	var entry logEntry
	if err := json.Unmarshal(data, &entry, lenient()); err != nil {
		s.unreadable(data, problemOf(err))
		return nil
	}
	if entry.ProtoPayload.ServiceName != "k8s.io" {
		s.other()
		return nil
	}
	return s.log.add(entry.event(), data, s.each)
}

// event returns the event of an entry, with what the entry has of it.
func (l *logEntry) event() *Event {
	p := &l.ProtoPayload
	e := &Event{
		Kind: "Event", AuditID: l.InsertID, Stage: ResponseComplete, User: User{Username: p.AuthenticationInfo.PrincipalEmail},
		UserAgent: p.RequestMetadata.UserAgent, RequestObject: p.Request, ResponseObject: p.Response, Received: l.Timestamp,
		Annotations: l.Labels, Format: GKE,
	}
	if l.Operation.First && !l.Operation.Last {
		e.Stage = ResponseStarted
	}
	if p.Status != nil {
		e.ResponseStatus = Status{Code: httpCode(p.Status.Code), Message: p.Status.Message}
	}
	method := strings.Split(p.MethodName, ".")
	e.Verb = method[len(method)-1]
	// A method of the API is that of a version of a group and of a resource. Others, such as io.k8s.get, are for a path.
	if len(method) < 5 {
		e.RequestURI = "/" + strings.TrimPrefix(p.ResourceName, "/")
		return e
	}
	e.ObjectRef = objectRef(p.ResourceName, method)
	return e
}

// objectRef reads the name of a resource: group, version, perhaps namespaces and a namespace, resource, name and subresource. The method
// tells namespaces/a/status, a subresource of a namespace, from the list of a resource with that name.
func objectRef(name string, method []string) ObjectRef {
	parts := strings.Split(name, "/")
	if len(parts) < 3 {
		return ObjectRef{}
	}
	ref := ObjectRef{APIGroup: parts[0]}
	if ref.APIGroup == "core" {
		ref.APIGroup = ""
	}
	version := slices.Index(method, parts[1])
	ofNamespace := version+1 < len(method) && method[version+1] == "namespaces"
	parts = parts[2:]
	if parts[0] == "namespaces" && len(parts) > 2 && !ofNamespace {
		ref.Namespace, parts = parts[1], parts[2:]
	}
	ref.Resource = parts[0]
	if len(parts) > 1 {
		ref.Name = parts[1]
	}
	if len(parts) > 2 {
		ref.Subresource = parts[2]
	}
	return ref
}

// httpCode returns the HTTP code for a code of gRPC, as https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
// relates them, or 0 for another code.
func httpCode(code int32) int32 {
	const clientClosedRequest = 499
	codes := []int32{
		http.StatusOK, clientClosedRequest, http.StatusInternalServerError, http.StatusBadRequest, http.StatusGatewayTimeout,
		http.StatusNotFound, http.StatusConflict, http.StatusForbidden, http.StatusTooManyRequests, http.StatusBadRequest,
		http.StatusConflict, http.StatusBadRequest, http.StatusNotImplemented, http.StatusInternalServerError,
		http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusUnauthorized,
	}
	if code < 0 || int(code) >= len(codes) {
		return 0
	}
	return codes[code]
}

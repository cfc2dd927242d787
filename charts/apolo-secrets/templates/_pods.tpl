{{/*
A CEL expression: whether a Pod, `object`, names a delivery in any field that can name a Secret.
*/}}
{{- define "apolo-secrets.pod.namesDelivery" -}}
{{- $is := "orValue('').startsWith('apolo-shared-')" -}}
object.spec.?volumes.orValue([]).exists(v,
  v.?secret.?secretName.{{ $is }} ||
  v.?projected.?sources.orValue([]).exists(s, s.?secret.?name.{{ $is }}) ||
  v.?csi.?nodePublishSecretRef.?name.{{ $is }} ||
  v.?azureFile.?secretName.{{ $is }} ||
  {{- range $index, $kind := list "cephfs" "cinder" "flexVolume" "iscsi" "rbd" "scaleIO" "storageos" }}
  {{ if $index }}|| {{ end }}v.?{{ $kind }}.?secretRef.?name.{{ $is }}
  {{- end }}) ||
object.spec.?imagePullSecrets.orValue([]).exists(s, s.?name.{{ $is }})
{{- range list "containers" "initContainers" "ephemeralContainers" }} ||
object.spec.?{{ . }}.orValue([]).exists(c,
  c.?env.orValue([]).exists(e, e.?valueFrom.?secretKeyRef.?name.{{ $is }}) ||
  c.?envFrom.orValue([]).exists(e, e.?secretRef.?name.{{ $is }}))
{{- end }}
{{- end -}}

{{/* A CEL expression: the annotations or labels of ours that an object bears, as a map. */}}
{{- define "apolo-secrets.ours" -}}
{{ . }}.orValue({}).transformMap(k, v, k.startsWith('secrets.apolo.us/'), v)
{{- end -}}

{{/* A CEL expression: whether an object bears annotations of ours. */}}
{{- define "apolo-secrets.bears" -}}
{{ . }}.?annotations.orValue({}).exists(k, k.startsWith('secrets.apolo.us/'))
{{- end -}}

{{/*
What Kubernetes takes as said of what a policy matches, said: all of that is owned as one, so whoever applied it without would conflict
with whoever applies it after him, server-side. The same of a rule's scope.
*/}}
{{- define "apolo-secrets.policy.defaults" -}}
matchPolicy: Equivalent
objectSelector: {}
{{- end -}}

{{/* A policy's binding, that denies. */}}
{{- define "apolo-secrets.denies" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .root.Release.Name }}-{{ .policy }}
  labels:
    {{- include "apolo-secrets.labels" .root | nindent 4 }}
spec:
  policyName: {{ .root.Release.Name }}-{{ .policy }}
  validationActions: [Deny]
{{- end -}}

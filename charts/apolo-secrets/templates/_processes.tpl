{{/* The image of all our Pods. */}}
{{- define "apolo-secrets.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* Metadata of the Pods of a component. What they are selected by cannot be replaced by podLabels. */}}
{{- define "apolo-secrets.pod.metadata" -}}
labels:
  {{- merge (include "apolo-secrets.selector" . | fromYaml) .root.Values.podLabels | toYaml | nindent 2 }}
{{- $annotations := deepCopy .root.Values.podAnnotations -}}
{{- if and .root.Values.workloads (ne .component "uninstall") -}}
{{- $_ := set $annotations "checksum/workloads" (include "apolo-secrets.workloads.file" .root | sha256sum) -}}
{{- end -}}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What is the same in the spec of all our Pods. */}}
{{- define "apolo-secrets.pod.spec" -}}
serviceAccountName: {{ .root.Release.Name }}-{{ .component }}
# The token is mounted as a volume of our own: for an hour, and only where it is used.
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
# The image says which user; whoever runs the cluster may say another.
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* On as many nodes, and in as many zones, as there are; those of one version, so that an update ends spread as well. */}}
{{- define "apolo-secrets.pod.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "apolo-secrets.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}

{{/* What is the same in all our containers. */}}
{{- define "apolo-secrets.container" -}}
image: {{ include "apolo-secrets.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Is it alive, and is it ready: the webhook to be asked, the controller to write once it leads. It is not for a moment in which whom
     the API server trusts was overwritten that it is asked no more: that is mended sooner. */}}
{{- define "apolo-secrets.container.probes" -}}
livenessProbe:
  httpGet:
    path: /livez
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
{{- end -}}

{{- define "apolo-secrets.container.mounts" -}}
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- if and .root.Values.workloads (ne .component "uninstall") }}
- name: workloads
  mountPath: /workloads
  readOnly: true
{{- end }}
{{- end -}}

{{- define "apolo-secrets.pod.volumes" -}}
# What Kubernetes would mount by itself.
- name: token
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                # Said, for the list is owned as one: whoever applied it without would conflict with whoever applies it after him.
                apiVersion: v1
                fieldPath: metadata.namespace
{{- if and .root.Values.workloads (ne .component "uninstall") }}
- name: workloads
  configMap:
    name: {{ .root.Release.Name }}-workloads
{{- end }}
{{- end -}}

{{/* Flags that the webhook and the controller have both. */}}
{{- define "apolo-secrets.container.flags" -}}
- --cluster-name={{ .Values.clusterName }}
- --max-access={{ .Values.grants.maxAccess }}
- --log-level={{ .Values.logLevel }}
{{- if .Values.workloads }}
- --workloads=/workloads/workloads.yaml
{{- end }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- end -}}

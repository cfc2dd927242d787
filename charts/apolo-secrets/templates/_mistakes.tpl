{{/*
What is wrong with the values, or with where they are to be installed, and no schema can say, or not in words: each with its name, and
the mend. All at once.
*/}}
{{- define "apolo-secrets.mistakes" -}}
{{- $values := .Values -}}
{{- $mistakes := list -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) -}}
  {{- $mistakes = append $mistakes (printf "the release name %q cannot begin the name of a Service; take a-z, 0-9 and \"-\", beginning with a letter, such as apolo-secrets" .Release.Name) -}}
{{- end -}}
{{- if eq .Release.Namespace "kube-system" -}}
  {{- $mistakes = append $mistakes "the release is to be in namespace kube-system, of which the hooks see nothing; give it one of its own: --namespace apolo-secrets --create-namespace" -}}
{{- end -}}
{{- if .Release.IsInstall -}}
  {{- with include "apolo-secrets.others" . -}}
    {{- $mistakes = append $mistakes . -}}
  {{- end -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" $values.clusterName) -}}
  {{- $mistakes = append $mistakes (printf "clusterName: %q cannot stand in secret://NAME/OWNER/KEY; take 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit" $values.clusterName) -}}
{{- end -}}
{{- with $values.webhook.url -}}
  {{- if not (regexMatch (include "apolo-secrets.url" $) .) -}}
    {{- $mistakes = append $mistakes (printf "webhook.url: %q is not where an API server can ask; write https://HOST:PORT, without a final \"/\", or leave it out for a webhook in the cluster" .) -}}
  {{- else -}}
    {{- $port := (urlParse .).host | regexFind ":[0-9]+$" | trimPrefix ":" -}}
    {{- if and $port (or (lt (int64 $port) 1) (gt (int64 $port) 65535)) -}}
      {{- $mistakes = append $mistakes (printf "webhook.url: there is no port %s; take one of 1 to 65535" $port) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $certificates := $values.certificates -}}
{{- $network := $values.networkPolicy -}}
{{- $metricsFrom := list -}}
{{- range $network.metricsFrom -}}
  {{- with .ipBlock -}}
    {{- $metricsFrom = concat (append $metricsFrom .cidr) (get . "except" | default list) -}}
  {{- end -}}
{{- end -}}
{{- $name := "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" -}}
{{- $forms := list
  (list "image.repository" (list $values.image.repository) "^[a-z0-9][a-z0-9._/:-]*[a-z0-9]$" "is no repository of images; write it without tag and digest, such as ghcr.io/neuro-inc/apolo-secrets")
  (list "image.tag" (list $values.image.tag) "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$" "is no tag of an image; write it without \":\", such as 0.1.0")
  (list "image.digest" (list $values.image.digest) "^(sha256:[0-9a-f]{64})?$" "is no digest of an image; write sha256: and 64 hex digits")
  (list "watchNamespaces" $values.watchNamespaces "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" "cannot be the name of a namespace; name each in full")
  (list "certificates.provided.secretName" (list $certificates.provided.secretName | compact) $name "cannot be the name of a Secret; name one of the release's namespace")
  (list "priorityClassName" (list $values.priorityClassName | compact) $name "cannot be the name of a PriorityClass; name one that is there, or leave it empty")
  (list "flowSchema.priorityLevel" (list $values.flowSchema.priorityLevel) $name "cannot be the name of a PriorityLevelConfiguration; name one that is there, such as workload-high")
  (list "networkPolicy.apiServerAddresses" $network.apiServerAddresses (include "apolo-secrets.cidr" .) "is no CIDR; write it as 10.0.0.0/28")
  (list "networkPolicy.metricsFrom" $metricsFrom (include "apolo-secrets.cidr" .) "is no CIDR; write it as 10.0.0.0/28")
  (list "podMonitor.interval" (list $values.podMonitor.interval) "^[0-9]+(ms|s|m|h)$" "is no duration; write it as 30s")
-}}
{{- range $forms -}}
  {{- $form := . -}}
  {{- range index . 1 -}}
    {{- if not (regexMatch (index $form 2) .) -}}
      {{- $mistakes = append $mistakes (printf "%s: %q %s" (index $form 0) . (index $form 3)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $certificates.mode "provided") (not $certificates.provided.secretName) (not $values.webhook.url) -}}
  {{- $mistakes = append $mistakes "certificates.provided.secretName: with certificates.mode provided, say which Secret of the release's namespace has tls.crt and tls.key" -}}
{{- end -}}
{{- if and (ne $certificates.mode "provided") $certificates.provided.secretName -}}
  {{- $mistakes = append $mistakes (printf "certificates.provided.secretName: nobody reads it with certificates.mode %s; set certificates.mode to provided, or leave it out" $certificates.mode) -}}
{{- end -}}
{{- if and (ne $certificates.mode "cert-manager") $certificates.certManager.issuerRef.name -}}
  {{- $mistakes = append $mistakes (printf "certificates.certManager.issuerRef.name: nobody reads it with certificates.mode %s; set certificates.mode to cert-manager, or leave it out" $certificates.mode) -}}
{{- end -}}
{{- if and (eq $certificates.mode "builtin") (not $values.controller.enabled) (not $values.webhook.url) -}}
  {{- $mistakes = append $mistakes "controller.enabled: without the controller nobody makes the certificate of the webhook; set certificates.mode to cert-manager or provided" -}}
{{- end -}}
{{- if not (regexMatch "^[1-9][0-9]{0,8}(m|h)$" $certificates.servingLife) -}}
  {{- $mistakes = append $mistakes (printf "certificates.servingLife: %q is no number of minutes or hours; write it as 90m or 2160h" $certificates.servingLife) -}}
{{- else -}}
  {{- $minutes := mul (regexFind "^[0-9]+" $certificates.servingLife | int64) (ternary 60 1 (hasSuffix "h" $certificates.servingLife)) -}}
  {{- if and (lt $minutes 10) (eq $certificates.mode "builtin") -}}
    {{- $mistakes = append $mistakes (printf "certificates.servingLife: kubelet may bring a new certificate two minutes late, so %s is too short; make it 10m or more" $certificates.servingLife) -}}
  {{- else if and (gt $minutes 5256000) (eq $certificates.mode "builtin") -}}
    {{- $mistakes = append $mistakes (printf "certificates.servingLife: %s is more than ten years; make it 87600h or less" $certificates.servingLife) -}}
  {{- else if and (lt $minutes 60) (eq $certificates.mode "cert-manager") -}}
    {{- $mistakes = append $mistakes (printf "certificates.servingLife: cert-manager makes no certificate for less than an hour; make it 1h or more, instead of %s" $certificates.servingLife) -}}
  {{- end -}}
{{- end -}}
{{- range $value, $map := dict "podAnnotations" $values.podAnnotations "podLabels" $values.podLabels -}}
  {{- range $key, $_ := $map -}}
    {{- if hasPrefix "secrets.apolo.us/" $key -}}
      {{- $mistakes = append $mistakes (printf "%s: %q is for Pods that ask for secrets, and ours cannot; leave it out" $value $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $values.watchNamespaces -}}
  {{- if has . (list "kube-system" $.Release.Namespace) -}}
    {{- $mistakes = append $mistakes (printf "watchNamespaces: in %s secrets cannot be asked for or shared; leave it out" .) -}}
  {{- end -}}
{{- end -}}
{{- with $mistakes }}
  {{- fail (printf "\n%s\n" (join "\n" .)) -}}
{{- end -}}
{{- end -}}

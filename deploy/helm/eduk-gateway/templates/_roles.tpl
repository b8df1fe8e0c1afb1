{{/*
What each deployment is, as data: which role it starts, where it is called, whom it calls, which servers and files it has.
The same as services/roles.ts; a test compares them.
*/}}
{{- define "eduk.roles" -}}
door: {start: door, calls: [core, delivery, watch, vault], database: true, operator: true, administrations: true, listens: true}
desk: {start: door, calls: [core, delivery, watch, vault], database: true, operator: true, administrations: true}
core: {start: core, port: 50061, database: true, kafka: true}
delivery: {start: delivery, port: 50062, calls: [core, vault], database: true, kafka: true, webhooks: true, administrations: true}
watch: {start: watch, port: 50063, database: true, kafka: true}
vault: {start: vault, port: 50064, vault: true}
{{- end -}}

{{- define "eduk.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of every pod of the release. */}}
{{- define "eduk.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Arguments: the top, a role. */}}
{{- define "eduk.labels" -}}
{{ include "eduk.selector" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "eduk.selectorOf" -}}
{{ include "eduk.selector" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "eduk.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A database's URL, with its authority where there is one. Arguments: the values of the database, the file of the authority. */}}
{{- define "eduk.databaseUrl" -}}
{{- $database := index . 0 -}}
{{- /* Not in the schema, whose message would hold the password. */ -}}
{{- if not (regexMatch "^postgres(ql)?://[^:@/]+@[^@/]+/[^/?@]+([?].*)?$" $database.url) -}}
{{- fail "database.url and vault.database.url must be postgres://USER@HOST:PORT/DATABASE, without a password: that belongs in passwordSecret" -}}
{{- end -}}
{{- if $database.caSecret -}}
{{ $database.url }}{{ ternary "&" "?" (contains "?" $database.url) }}sslmode=verify-full&sslrootcert={{ index . 1 }}
{{- else -}}
{{ $database.url }}
{{- end -}}
{{- end -}}

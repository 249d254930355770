{{- define "itool.labels" -}}
app.kubernetes.io/name: itool
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "itool.container" -}}
name: itool
image: {{ .root.Values.image }}
imagePullPolicy: {{ .root.Values.pullPolicy }}
args: {{ .args | toJson }}
env:
  - { name: ITOOL_CONNECTION, value: /etc/itool/connection.yaml }
  - { name: HOME, value: /cache }
  {{- with .root.Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{ .resources | toJson }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: connection, mountPath: /etc/itool, readOnly: true }
  - { name: secrets, mountPath: /run/secrets/itool, readOnly: true }
  - { name: cache, mountPath: /cache }
  - { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "itool.pod" -}}
terminationGracePeriodSeconds: {{ .root.Values.terminationGrace }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with get . "nodeSelector" | default .root.Values.nodeSelector }}
nodeSelector: {{ . | toJson }}
{{- end }}
{{- with get . "tolerations" | default .root.Values.tolerations }}
tolerations: {{ . | toJson }}
{{- end }}
volumes:
  - name: connection
    configMap: { name: {{ .root.Release.Name }}-connection }
  - name: secrets
    secret: { secretName: {{ .root.Values.secret }}, defaultMode: 0440 }
  - name: cache
    emptyDir: {}
  - name: tmp
    emptyDir: {}
{{- end }}

{{- define "itool.trigger" -}}
type: metrics-api
metadata:
  url: http://{{ .root.Release.Name }}-keeper.{{ .root.Release.Namespace }}.svc:{{ .root.Values.keeper.port }}/scale/{{ .stage }}
  valueLocation: value
  targetValue: {{ .slots | quote }}
{{- end }}

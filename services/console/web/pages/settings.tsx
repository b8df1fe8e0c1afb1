import type { SettingView } from '../../types.ts';
import { useLive } from '../api.ts';
import { useFrame } from '../app.tsx';
import { Show, Table } from '../ui.tsx';

/** How the gateway is set. Nothing is changed here. */
export function SettingsPage() {
  const { say, lang } = useFrame();
  const loaded = useLive<SettingView[]>('settings');
  return (
    <>
      <h1>{say('settings')}</h1>
      <p class="hint">{say('settings_hint')}</p>
      <Show loaded={loaded}>
        {(all) => (
          <Table name={say('settings')} heads={['setting', 'value']}>
            {all.map(({ name, about, value, isDefault }) => (
              <tr key={name}>
                <td>
                  <code>{name}</code>
                  <p class="hint">{about[lang]}</p>
                </td>
                <td>
                  {value === '' ? <span class="hint">{say('not_set')}</span> : <code>{value}</code>}
                  {isDefault && value !== '' && <span class="hint"> ({say('is_default')})</span>}
                </td>
              </tr>
            ))}
          </Table>
        )}
      </Show>
    </>
  );
}

import { expect, test } from 'vitest'
import { setTimeout as delay } from 'node:timers/promises'
import { execSync } from 'node:child_process'
import { expectCode } from './contract.ts'
import { useIscsi } from './iscsi-stage.ts'
const signal = AbortSignal.timeout(1_000_000_000)
const stage = useIscsi()
test('x', async () => {
    const { driver, server } = stage()
    const pool = { ...stage().pool, settings: { ...stage().pool.settings, patience: '0' } }
    const object = await stage().create()
    const writer = await stage().write(await stage().attach(object))
    await server.kill()
    await expectCode(driver.probe(pool, signal), 'storage_failed')
    const before = writer.count()
    await server.start()
    await driver.probe(pool, signal)
    for (let i = 0; i < 24; i++) {
      await delay(500)
      console.log(i, writer.count() - before, stage().fixture.log, /nexus[^]*?LUN inf/.exec(stage().targets())?.[0])
      if (writer.count() > before + 5) break
      if (i === 10) { console.log(stage().targets()); const { pid } = stage().daemonOf(object); console.log(execSync(`timeout 2 strace -f -p ${pid} 2>&1 | head -60; cat /proc/${pid}/wchan; ls -l /proc/${pid}/fd; ss -tnp | grep ${pid}`, {encoding:'utf8'})) }
    }
    await writer.stop()
    await stage().unmount(writer.target)
    await stage().detach(object)
})

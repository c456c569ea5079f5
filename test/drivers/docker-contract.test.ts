import { needs } from '../support/missing.ts'
import { driverContract } from './contract.ts'
import { makeDockerFixture } from './docker-fixture.ts'

const machine = needs('root', 'mount')
const sized = { sizeOption: 'size', sizeUnit: 'GiB' }

machine.describe('the driver docker', () => {
  driverContract('a plugin of directories, of the first days', () =>
    makeDockerFixture({ without: ['Get', 'Capabilities'] }),
  )
  driverContract('a plugin that mounts', () => makeDockerFixture({ mounts: true }, { ...sized, requireMount: 'true' }))
})
